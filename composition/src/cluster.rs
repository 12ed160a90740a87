//! Kubernetes set up as the config says.

use crate::config::{CustomStorage, DigestPolicy, ImagesConfig, PlatformConfig, Rule, StorageFlavour};
use crate::platform::IntoStack;
use platform_core::{Result, Stack};
use provider_k8s::{CERTIFICATES, CREDENTIALS, DATA, Flavour, ImageOptions, KnownFlavour, Kubernetes, S3Server};
use std::collections::BTreeMap;
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

/// A described server gets its credentials, its certificate and its volume as files.
fn server(described: &CustomStorage, config: &PlatformConfig) -> Result<S3Server> {
    let refuse = |key: &str, message: &str, help: &str| {
        config.problem(Rule::Flavour, &format!("storage.flavour.{key}"), message, help)
    };
    if described.data_path != DATA {
        return Err(refuse(
            "data_path",
            &format!("the volume is mounted at {DATA}"),
            "pass {data} in `args`",
        )
        .into());
    }
    let Some(health) = described.health_path.clone() else {
        return Err(refuse(
            "health_path",
            "without a check nothing tells when the server is ready",
            "name a path that answers 200 over HTTPS",
        )
        .into());
    };
    let port = |key: &str, port: u32| {
        u16::try_from(port).map_err(|_| refuse(key, &format!("{port} is no port"), "write 1024 to 65535"))
    };
    let s3_port = port("port", described.port)?;
    let console_port = described
        .console_port
        .map(|number| port("console_port", number))
        .transpose()?;
    let fill = |argument: &String| {
        argument
            .replace("{data}", DATA)
            .replace("{certificates}", CERTIFICATES)
            .replace("{port}", &s3_port.to_string())
            .replace("{console_port}", &console_port.unwrap_or_default().to_string())
    };
    let files = [
        (&described.user_variable, "access-key"),
        (&described.password_variable, "secret-key"),
    ];
    Ok(S3Server {
        image: Some(described.image.clone()),
        args: described.args.iter().map(fill).collect(),
        env: files
            .into_iter()
            .map(|(variable, file)| (variable.clone(), format!("{CREDENTIALS}/{file}")))
            .collect(),
        s3_port,
        console_port,
        certificates: ["tls.crt", "tls.key", "ca.crt"]
            .into_iter()
            .map(|file| (file.to_owned(), file.to_owned()))
            .collect::<BTreeMap<_, _>>(),
        live: health.clone(),
        ready: health,
        metrics: None,
        scratch: Vec::new(),
        encryption_key_prefix: None,
    })
}
