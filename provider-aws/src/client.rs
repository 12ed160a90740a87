//! SDK clients from the caller's configuration, and the count of their requests.

use aws_smithy_http_client::tls::{Provider as Tls, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

tokio::task_local! {
    static REQUESTS: Arc<AtomicU32>;
}

/// Runs a future and counts the requests that it sends, retries included.
pub(crate) async fn counted<F: Future>(future: F) -> (F::Output, u32) {
    let count = Arc::new(AtomicU32::new(0));
    let output = REQUESTS.scope(Arc::clone(&count), future).await;
    (output, count.load(Ordering::Relaxed))
}

/// Counts what passes, whichever client sends it.
#[derive(Debug)]
struct Counting<T>(T);

impl HttpClient for Counting<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Counting(self.0.http_connector(settings, components)))
    }

    fn validate_base_client_config(&self, builder: &RuntimeComponentsBuilder, bag: &ConfigBag) -> Result<(), BoxError> {
        self.0.validate_base_client_config(builder, bag)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, bag: &ConfigBag) -> Result<(), BoxError> {
        self.0.validate_final_config(components, bag)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

impl HttpConnector for Counting<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // Outside of `counted` nobody asks.
        let _ = REQUESTS.try_with(|count| count.fetch_add(1, Ordering::Relaxed));
        self.0.call(request)
    }
}

/// Clients of SDKs that only kinds of other crates know, each made once.
#[derive(Clone, Debug, Default)]
struct Added(Arc<Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>);

/// Declares one client a service. S3 is apart: it alone has a setting of its own.
macro_rules! clients {
    ($($name:ident: $sdk:ident),* $(,)?) => {
        /// One client a service.
        #[derive(Clone, Debug)]
        pub(crate) struct Clients {
            pub(crate) s3: aws_sdk_s3::Client,
            config: SdkConfig,
            added: Added,
            $(pub(crate) $name: $sdk::Client,)*
        }

        impl Clients {
            /// Clients of a configuration; what it leaves open (HTTP client, sleep, timeouts, retry) gets our defaults.
            pub(crate) fn new(config: &SdkConfig) -> Self {
                let config = completed(config);
                let path_style = config.endpoint_url().is_some() || endpoint_of_s3(&config);
                Self {
                    // A bucket in the host name needs DNS for every bucket, which an endpoint of one's own rarely has.
                    s3: aws_sdk_s3::Client::from_conf(
                        aws_sdk_s3::config::Builder::from(&config)
                            .force_path_style(path_style)
                            .build(),
                    ),
                    $($name: $sdk::Client::new(&config),)*
                    config,
                    added: Added::default(),
                }
            }
        }
    };
}

clients! {
    backup: aws_sdk_backup,
    cache: aws_sdk_elasticache,
    cloudwatch: aws_sdk_cloudwatch,
    eks: aws_sdk_eks,
    events: aws_sdk_eventbridge,
    iam: aws_sdk_iam,
    kms: aws_sdk_kms,
    logs: aws_sdk_cloudwatchlogs,
    quotas: aws_sdk_servicequotas,
    rds: aws_sdk_rds,
    secrets: aws_sdk_secretsmanager,
    sns: aws_sdk_sns,
    sts: aws_sdk_sts,
    tagging: aws_sdk_resourcegroupstagging,
}

impl Clients {
    /// A client of an SDK that this crate does not know; made the first time, kept from then on.
    pub(crate) fn added<T: Clone + Send + Sync + 'static>(&self, make: impl FnOnce(&SdkConfig) -> T) -> T {
        let mut added = self.added.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = added
            .get(&TypeId::of::<T>())
            .and_then(|client| client.downcast_ref::<T>());
        if let Some(client) = known {
            return client.clone();
        }
        let client = make(&self.config);
        added.insert(TypeId::of::<T>(), Box::new(client.clone()));
        client
    }
}

/// Whether S3 alone has an endpoint of its own: `AWS_ENDPOINT_URL_S3`, or a `services` section of the profile.
fn endpoint_of_s3(config: &SdkConfig) -> bool {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    match (config.service_config(), key) {
        (Some(service), Ok(key)) => service.load_config(key).is_some(),
        _ => false,
    }
}

fn completed(config: &SdkConfig) -> SdkConfig {
    let mut builder = config.to_builder();
    let http = config.http_client().unwrap_or_else(|| {
        aws_smithy_http_client::Builder::new()
            .tls_provider(Tls::Rustls(CryptoMode::Ring))
            .build_https()
    });
    builder.set_http_client(Some(SharedHttpClient::new(Counting(http))));
    if config.sleep_impl().is_none() {
        builder.set_sleep_impl(Some(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
            aws_smithy_async::rt::sleep::TokioSleep::new(),
        )));
    }
    if config.timeout_config().is_none() {
        builder.set_timeout_config(Some(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(30))
                .build(),
        ));
    }
    if config.retry_config().is_none() {
        builder.set_retry_config(Some(RetryConfig::standard().with_max_attempts(5)));
    }
    if config.behavior_version().is_none() {
        builder.set_behavior_version(Some(BehaviorVersion::latest()));
    }
    builder.build()
}
