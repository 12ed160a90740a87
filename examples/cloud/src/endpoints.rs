//! Endpoints other than AWS's own: one for all services, or one a service.

use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use std::collections::BTreeMap;
use std::str::FromStr;

/// `URL`, or `SERVICE=URL` with the service's id as in `AWS_ENDPOINT_URL_S3`: `s3`, `rds`, `secrets_manager`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) service: Option<String>,
    pub(crate) url: String,
}

impl FromStr for Endpoint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (service, url) = match text.split_once('=') {
            Some((service, url)) if !service.contains("://") => (Some(service.to_lowercase()), url),
            _ => (None, text),
        };
        if url.starts_with("http://") || url.starts_with("https://") {
            Ok(Self {
                service,
                url: url.to_owned(),
            })
        } else {
            Err("write http://HOST:PORT, or SERVICE=http://HOST:PORT".to_owned())
        }
    }
}

/// Settings of single services, as the SDK asks for them.
#[derive(Clone, Debug)]
pub(crate) struct Services(BTreeMap<String, String>);

impl Services {
    /// Of those endpoints that name a service.
    pub(crate) fn of(endpoints: &[Endpoint]) -> Self {
        let named = |endpoint: &Endpoint| Some((endpoint.service.clone()?, endpoint.url.clone()));
        Self(endpoints.iter().filter_map(named).collect())
    }
}

impl LoadServiceConfig for Services {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_lowercase().replace(' ', "_");
        self.0
            .get(&service)
            .filter(|_| key.profile() == "endpoint_url")
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn endpoints_are_for_all_or_for_one() {
        for (text, service) in [
            ("http://127.0.0.1:4566", Some(None)),
            ("https://host/?a=b", Some(None)),
            ("S3=http://127.0.0.1:1", Some(Some("s3"))),
            ("127.0.0.1", None),
            ("s3=host", None),
        ] {
            let read = text.parse::<Endpoint>().ok().map(|endpoint| endpoint.service);
            assert_eq!(read.as_ref().map(Option::as_deref), service, "{text}");
        }
    }
}
