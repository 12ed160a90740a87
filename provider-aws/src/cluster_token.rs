//! Who the caller is, as EKS believes it: a call of STS that is signed here and sent by the cluster.

use crate::kind::eks_cluster;
use crate::names;
use crate::provider::{AwsProvider, Connection};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use platform_core::{Error, ErrorKind, Result};
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long EKS believes a token.
const LIFETIME: Duration = Duration::from_mins(15);
/// How long before that a new one is made.
const MARGIN: Duration = Duration::from_mins(5);
/// The only value that EKS takes here.
const EXPIRES: Duration = Duration::from_mins(1);
const PREFIX: &str = "k8s-aws-v1.";
/// The header that binds a token to one cluster.
const CLUSTER: &str = "x-k8s-aws-id";

/// Tokens by which a cluster of EKS knows the caller. Made in this process from the caller's credentials: no call is sent.
///
/// A token is good for 15 minutes and kept for ten.
#[derive(Debug)]
pub struct ClusterTokens {
    connection: Arc<Connection>,
    cluster: String,
    kept: Mutex<Option<(SecretString, Duration)>>,
}

impl AwsProvider {
    /// What EKS says of a cluster of this account and region: `endpoint`, `certificate_authority` (base64 of PEM), `name`.
    ///
    /// # Errors
    /// `NotFound` when there is none, and whatever keeps EKS from answering.
    pub async fn cluster(&self, name: &str) -> Result<BTreeMap<String, Value>> {
        let outputs = eks_cluster::outputs(&self.connection().clients, name).await?;
        outputs.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no cluster {name:?}"))
                .with_help("correct `aws.cluster.existing`, or the region")
        })
    }

    /// Tokens for a cluster of this account and region.
    pub fn cluster_tokens(&self, cluster: impl Into<String>) -> ClusterTokens {
        ClusterTokens {
            connection: self.connection(),
            cluster: cluster.into(),
            kept: Mutex::new(None),
        }
    }
}

impl ClusterTokens {
    /// A token that is good for five minutes at least.
    ///
    /// # Errors
    /// `Unauthenticated` when there are no credentials.
    pub async fn token(&self) -> Result<SecretString> {
        let now = self.connection.clock.elapsed();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((token, _)) = kept.filter(|(_, until)| now < *until) {
            return Ok(token);
        }
        let token = self.signed().await?;
        let until = now + LIFETIME.saturating_sub(MARGIN);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((token.clone(), until));
        Ok(token)
    }

    async fn signed(&self) -> Result<SecretString> {
        let none = |why: String| {
            Error::new(ErrorKind::Unauthenticated, why)
                .with_operation("sign a token for the cluster")
                .with_help("sign in (`aws sso login`), set AWS_PROFILE, or run where a role is attached")
        };
        let Some(provider) = &self.connection.credentials else {
            return Err(none("no credentials were configured".to_owned()));
        };
        let credentials = provider.provide_credentials().await;
        let identity = credentials
            .map_err(|cause| none(format!("no usable credentials: {cause}")))?
            .into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(EXPIRES);
        let seconds = u64::try_from(self.connection.clock.now().seconds()).unwrap_or_default();
        let region = &self.connection.region;
        let defect = |why: String| Error::new(ErrorKind::Internal, format!("a token cannot be signed: {why}"));
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("sts")
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .settings(settings)
            .build()
            .map_err(|cause| defect(cause.to_string()))?
            .into();
        let url = format!(
            "https://sts.{region}.{}/?Action=GetCallerIdentity&Version=2011-06-15",
            names::suffix(region)
        );
        let headers = [(CLUSTER, self.cluster.as_str())].into_iter();
        let request = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[]));
        let signed = request.and_then(|request| sign(request, &params));
        let (instructions, _) = signed.map_err(|cause| defect(cause.to_string()))?.into_parts();
        let mut request = http::Request::builder()
            .uri(&url)
            .body(())
            .map_err(|cause| defect(cause.to_string()))?;
        instructions.apply_to_request_http1x(&mut request);
        let token = format!("{PREFIX}{}", BASE64_URL.encode(request.uri().to_string()));
        Ok(SecretString::from(token))
    }
}

#[cfg(test)]
mod tests {
    use super::{BASE64_URL, CLUSTER, PREFIX};
    use crate::AwsProvider;
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_types::SdkConfig;
    use aws_types::region::Region;
    use base64::Engine as _;
    use futures::executor::block_on;
    use platform_core::testing::ManualClock;
    use secrecy::ExposeSecret as _;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_token_is_a_signed_call_bound_to_one_cluster_and_kept_for_a_while() {
        let clock = ManualClock::new();
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("session/+".to_owned()), None, "test");
        let config = SdkConfig::builder()
            .region(Region::new("cn-north-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let provider = AwsProvider::from_config(&config, Arc::new(clock.clone())).unwrap();
        let tokens = provider.cluster_tokens("ml-platform-prod");
        let token = || block_on(tokens.token()).unwrap().expose_secret().to_owned();
        let first = token();
        let url = BASE64_URL.decode(first.strip_prefix(PREFIX).unwrap()).unwrap();
        let url = String::from_utf8(url).unwrap();
        assert!(
            url.starts_with("https://sts.cn-north-1.amazonaws.com.cn/?Action=GetCallerIdentity&Version=2011-06-15&"),
            "{url}"
        );
        for part in [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Expires=60",
            "%2Fcn-north-1%2Fsts%2Faws4_request",
            "X-Amz-Security-Token=session%2F%2B",
            &format!("X-Amz-SignedHeaders=host%3B{CLUSTER}"),
            "X-Amz-Signature=",
        ] {
            assert!(url.contains(part), "{part} in {url}");
        }
        clock.advance(Duration::from_mins(9));
        assert_eq!(token(), first);
        clock.advance(Duration::from_mins(2));
        assert_ne!(token(), first);
        assert!(!format!("{tokens:?}").contains("k8s-aws"), "{tokens:?}");
    }
}
