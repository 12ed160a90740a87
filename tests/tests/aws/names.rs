//! Ids of one emulator in the place of another's, which knows only its own: ElastiCache's judge of subnets is not who makes
//! them, and the one that looks a key up for RDS is not who made it.

use crate::between::{between, fields, reworded, signed_for};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What a form leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What each service is told instead, by field and turn.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Subnets that ElastiCache knows.
    subnets: Vec<String>,
    /// A key that RDS finds.
    key: String,
    known: Arc<Mutex<Known>>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// Theirs by ours, by service.
    pairs: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Keys of what RDS tells of a server's work, which moto forgets, by server.
    insights: BTreeMap<String, String>,
}

impl Names {
    pub(crate) fn new(subnets: Vec<String>, key: String) -> Self {
        Self {
            subnets,
            key,
            known: Arc::default(),
        }
    }

    /// An HTTP client that tells them instead of what it is given.
    pub(crate) fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        let names = self.clone();
        between(inner, move |wire, request| names.pass(wire, request))
    }

    fn pass(&self, wire: &SharedHttpConnector, mut request: HttpRequest) -> HttpConnectorFuture {
        let service = signed_for(&request).map(|(_, service)| service);
        let service = service.and_then(|service| ["elasticache", "rds"].into_iter().find(|known| *known == service));
        let body = request.body().bytes().map(<[u8]>::to_vec);
        let (Some(service), Some(body)) = (service, body.and_then(|bytes| String::from_utf8(bytes).ok())) else {
            return wire.call(request);
        };
        let mut known = self.known.lock().unwrap();
        self.learn(&mut known, service, &body);
        let known = known.clone();
        let pairs = known.pairs.get(service).cloned().unwrap_or_default();
        let encoded = |text: &str| utf8_percent_encode(text, FORM).to_string();
        let told = pairs.iter().fold(body, |body, (ours, theirs)| {
            body.replace(&encoded(ours), &encoded(theirs))
        });
        *request.body_mut() = SdkBody::from(told);
        request.headers_mut().remove("content-length");
        reworded(wire.call(request), move |text| known.heard(&pairs, text))
    }

    /// Pairs what a form names with what is there.
    fn learn(&self, known: &mut Known, service: &'static str, form: &str) {
        let fields = fields(form);
        let mut subnets = self.subnets.iter();
        for (field, value) in &fields {
            let theirs = match field.as_str() {
                "MasterUserSecretKmsKeyId" => Some(&self.key),
                _ if service == "elasticache" && field.starts_with("SubnetIds.SubnetIdentifier.") => subnets.next(),
                _ => None,
            };
            if let Some(theirs) = theirs {
                let pairs = known.pairs.entry(service).or_default();
                pairs.entry(value.clone()).or_insert_with(|| theirs.clone());
            }
        }
        if let (Some(server), Some(key)) = (
            fields.get("DBInstanceIdentifier"),
            fields.get("PerformanceInsightsKMSKeyId"),
        ) {
            known.insights.insert(server.clone(), key.clone());
        }
    }
}

impl Known {
    /// An answer in our words.
    fn heard(&self, pairs: &BTreeMap<String, String>, text: String) -> String {
        let ours = pairs
            .iter()
            .fold(text, |text, (ours, theirs)| text.replace(theirs, ours));
        let one = |server: &str| ours.contains(&format!("<DBInstanceIdentifier>{server}</DBInstanceIdentifier>"));
        match self.insights.iter().find(|(server, _)| one(server)) {
            Some((_, key)) => {
                let insights = format!(
                    "<PerformanceInsightsEnabled>true</PerformanceInsightsEnabled>\
                     <PerformanceInsightsKMSKeyId>{key}</PerformanceInsightsKMSKeyId></DBInstance>"
                );
                ours.replace("</DBInstance>", &insights)
            }
            None => ours,
        }
    }
}
