//! Services that show late what they made: reads are answered from before a create for a while.

use crate::between::over;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use provider_aws::SdkConfig;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Creates that take no token and no name, and the reads that show what they made: what a call begins with, after its target
/// where the protocol has one.
const CREATES: [(&str, &str); 3] = [
    ("Action=CreateVpc&", "Action=DescribeVpcs&"),
    ("Action=AllocateAddress&", "Action=DescribeAddresses&"),
    (
        "TrentService.CreateKey",
        "ResourceGroupsTaggingAPI_20170126.GetResources",
    ),
];

/// Shows nothing of what a create made for some reads more.
#[derive(Clone, Debug)]
pub(crate) struct Late {
    /// How many, after each create.
    reads: u32,
    /// Whether the answer of the first create of each sort is lost, too.
    loses: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Reads that shall still be answered as if nothing was there, by what they read.
    blind: BTreeMap<&'static str, u32>,
    lost: u32,
    hidden: BTreeMap<&'static str, u32>,
}

impl Late {
    pub(crate) fn by(reads: u32) -> Self {
        Self {
            reads,
            loses: false,
            state: Arc::default(),
        }
    }

    /// The same, and answers of creates are lost.
    pub(crate) fn losing(mut self) -> Self {
        self.loses = true;
        self
    }

    pub(crate) fn over(&self, config: &SdkConfig) -> SdkConfig {
        let late = self.clone();
        over(config, move |wire, request| late.pass(wire, request))
    }

    /// Answers of creates that were lost.
    pub(crate) fn lost(&self) -> u32 {
        self.state.lock().unwrap().lost
    }

    /// Reads that were answered as if nothing was there, by what they read.
    pub(crate) fn hidden(&self) -> BTreeMap<&'static str, u32> {
        self.state.lock().unwrap().hidden.clone()
    }

    fn pass(&self, wire: &SharedHttpConnector, mut request: HttpRequest) -> HttpConnectorFuture {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let is = |what: &str| target == what || body.starts_with(what);
        let mut state = self.state.lock().unwrap();
        for (create, read) in CREATES {
            if is(create) {
                let first = state.blind.insert(read, self.reads).is_none();
                if self.loses && first {
                    state.lost += 1;
                    let answer = wire.call(request);
                    return HttpConnectorFuture::new(async move {
                        answer.await?;
                        Err(ConnectorError::timeout("the answer is lost".into()))
                    });
                }
            }
            let blind = state.blind.get_mut(read).filter(|blind| is(read) && **blind > 0);
            // The tagging API is asked about all sorts of objects.
            let of_keys = target.is_empty() || body.contains("kms:key");
            if let Some(blind) = blind.filter(|_| of_keys) {
                *blind -= 1;
                *state.hidden.entry(read).or_default() += 1;
                let hidden = body
                    .replace("mlplat%3A", "hidden%3A")
                    .replace("mlplat:", "hidden:")
                    .replace("tag%3AName", "tag%3AHidden");
                *request.body_mut() = hidden.into();
                request.headers_mut().remove("content-length");
                break;
            }
        }
        drop(state);
        wire.call(request)
    }
}
