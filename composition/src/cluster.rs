//! Kubernetes set up as the config says.

use crate::config::{CustomStorage, DigestPolicy, ImagesConfig, PlatformConfig, Rule, StorageFlavour};
use crate::platform::IntoStack;
use platform_core::{Result, Stack};
use provider_k8s::{Flavour, ImageOptions, KnownFlavour, Kubernetes, S3Server};
use std::sync::Arc;

impl IntoStack for Kubernetes {
    /// Images and the S3 server as the config says; whatever else the options say stays.
    fn into_stack(self, config: &PlatformConfig) -> Result<Arc<dyn Stack>> {
        let mut options = self.options().clone().with_images(images(&config.images));
        if let Some(wanted) = config.storage.as_ref().and_then(|block| block.flavour.as_ref()) {
            options = options.with_s3(flavour(wanted, config)?);
        }
        Ok(Arc::new(self.with_options(options)?))
    }
}

fn images(block: &ImagesConfig) -> ImageOptions {
    ImageOptions {
        registry: block.registry.clone(),
        pull_secrets: block.pull_secrets.clone(),
        digests: block.digests == DigestPolicy::On,
        overrides: block.overrides.clone(),
    }
}

fn flavour(wanted: &StorageFlavour, config: &PlatformConfig) -> Result<Flavour> {
    Ok(match wanted {
        StorageFlavour::Rustfs => Flavour::Known(KnownFlavour::Rustfs),
        StorageFlavour::Minio => Flavour::Known(KnownFlavour::Minio),
        StorageFlavour::Custom(described) => Flavour::Described(Box::new(server(described, config)?)),
    })
}

fn server(described: &CustomStorage, config: &PlatformConfig) -> Result<S3Server> {
    let port = |key: &str, port: u32| {
        u16::try_from(port).map_err(|_| {
            let key = format!("storage.flavour.{key}");
            config.problem(
                Rule::Flavour,
                &key,
                &format!("{port} is no port"),
                "write 1024 to 65535",
            )
        })
    };
    Ok(S3Server {
        image: Some(described.image.clone()),
        args: described.args.clone(),
        env: described.env.clone(),
        s3_port: port("s3_port", described.s3_port)?,
        console_port: described
            .console_port
            .map(|number| port("console_port", number))
            .transpose()?,
        certificates: described.certificates.clone(),
        live: described.live.clone(),
        ready: described.ready.clone(),
        metrics: described.metrics.clone(),
        scratch: described.scratch.clone(),
        encryption_key_prefix: described.encryption_key_prefix.clone(),
        users: described.users,
    })
}
