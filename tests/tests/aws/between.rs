//! Something between the library and the wire.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use percent_encoding::percent_decode_str;
use provider_aws::SdkConfig;
use std::collections::BTreeMap;
use std::fmt::{Debug, Formatter, Result};
use std::sync::Arc;

/// An HTTP client whose requests this function gets, with what carries them on.
pub(crate) fn between<F>(inner: SharedHttpClient, pass: F) -> SharedHttpClient
where
    F: Fn(&SharedHttpConnector, HttpRequest) -> HttpConnectorFuture + Send + Sync + 'static,
{
    SharedHttpClient::new(Between(inner, Arc::new(pass)))
}

/// A config whose requests this function gets, with what carries them on.
pub(crate) fn over<F>(config: &SdkConfig, pass: F) -> SdkConfig
where
    F: Fn(&SharedHttpConnector, HttpRequest) -> HttpConnectorFuture + Send + Sync + 'static,
{
    let client = between(config.http_client().unwrap(), pass);
    config.to_builder().http_client(client).build()
}

/// Region and service that a signature names.
pub(crate) fn signed_for(request: &HttpRequest) -> Option<(&str, &str)> {
    let mut scope = request.headers().get("authorization")?.split('/').skip(2);
    Some((scope.next()?, scope.next()?))
}

/// The fields of a form.
pub(crate) fn fields(form: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
}

/// An answer that comes from no server.
pub(crate) fn answer(status: u16, body: impl Into<SdkBody>) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).unwrap(), body.into())
}

/// An answer with its text in other words.
pub(crate) fn reworded(
    answer: HttpConnectorFuture,
    words: impl FnOnce(String) -> String + Send + 'static,
) -> HttpConnectorFuture {
    HttpConnectorFuture::new(async move {
        let mut answer = answer.await?;
        let body = std::mem::replace(answer.body_mut(), SdkBody::empty());
        let bytes = ByteStream::new(body).collect().await.unwrap().into_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        answer.headers_mut().remove("content-length");
        *answer.body_mut() = SdkBody::from(words(text));
        Ok(answer)
    })
}

struct Between<T, F>(T, Arc<F>);

impl<T: Debug, F> Debug for Between<T, F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_tuple("Between").field(&self.0).finish()
    }
}

impl<F> HttpClient for Between<SharedHttpClient, F>
where
    F: Fn(&SharedHttpConnector, HttpRequest) -> HttpConnectorFuture + Send + Sync + 'static,
{
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Between(
            self.0.http_connector(settings, components),
            Arc::clone(&self.1),
        ))
    }
}

impl<F> HttpConnector for Between<SharedHttpConnector, F>
where
    F: Fn(&SharedHttpConnector, HttpRequest) -> HttpConnectorFuture + Send + Sync + 'static,
{
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        (self.1)(&self.0, request)
    }
}
