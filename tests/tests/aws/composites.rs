//! Composite alarms beside those that they are made of: moto keeps the ones, ministack knows the others and asks for the first.

use crate::between::{between, fields, reworded, signed_for};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Where composite alarms are, and which ones there are.
#[derive(Clone, Debug)]
pub(crate) struct Composites {
    url: String,
    /// Descriptions, which ministack forgets, by name.
    known: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Composites {
    /// With those at this server.
    pub(crate) fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            known: Arc::default(),
        }
    }

    /// An HTTP client that finds each alarm where it is.
    pub(crate) fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        let composites = self.clone();
        between(inner, move |wire, request| composites.pass(wire, request))
    }

    fn pass(&self, wire: &SharedHttpConnector, mut request: HttpRequest) -> HttpConnectorFuture {
        let alarms = signed_for(&request).is_some_and(|(_, service)| service == "monitoring");
        let body = request.body().bytes().filter(|_| alarms);
        let Some(form) = body.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
            return wire.call(request);
        };
        let form = fields(form);
        let field = |name: &str| form.get(name).map(String::as_str);
        let action = field("Action").unwrap_or_default();
        let mut known = self.known.lock().unwrap();
        if action == "PutCompositeAlarm" {
            let description = field("AlarmDescription").unwrap_or_default();
            known.extend(field("AlarmName").map(|name| (name.to_owned(), description.to_owned())));
        }
        let of = field("AlarmNames.member.1")
            .or_else(|| field("AlarmName"))
            .or_else(|| field("ResourceARN")?.rsplit(':').next());
        let composite =
            field("AlarmTypes.member.1") == Some("CompositeAlarm") || of.is_some_and(|name| known.contains_key(name));
        let known = known.clone();
        if composite {
            request.set_uri(self.url.as_str()).unwrap();
            return reworded(wire.call(request), move |text| {
                known.iter().fold(text, |text, (name, description)| {
                    let name = format!("<AlarmName>{name}</AlarmName>");
                    let both = format!("{name}<AlarmDescription>{description}</AlarmDescription>");
                    text.replace(&name, &both)
                })
            });
        }
        // Whoever judges a composite alarm knows what it is made of.
        let made = ["PutMetricAlarm", "DeleteAlarms"].contains(&action);
        let copy = request.try_clone().filter(|_| made).map(|mut copy| {
            copy.set_uri(self.url.as_str()).unwrap();
            wire.call(copy)
        });
        let answer = wire.call(request);
        HttpConnectorFuture::new(async move {
            if let Some(copy) = copy {
                copy.await?;
            }
            answer.await
        })
    }
}
