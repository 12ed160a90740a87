//! What only clusters do, on a server that behaves as EKS is documented.

use crate::emulators::Account;
use crate::kinds::set;
use crate::platform::{apply, apply_with, done, everything, plan};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use platform_core::engine::{Action, PlanRequest};
use platform_core::value::ResourceId;
use platform_core::{Provider, Resource, Risk};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use xtask::peer::Python;

struct Stage {
    account: Account,
    request: PlanRequest,
}

impl Stage {
    fn new(account: Account) -> Self {
        let request = PlanRequest::destroy(set(&account));
        Self { account, request }
    }

    fn id(&self, kind: &str, own: &str) -> ResourceId {
        let (stem, _) = self.request.set.as_str().rsplit_once('-').unwrap();
        format!("aws/eu-west-1:{kind}/{stem}{own}").parse().unwrap()
    }

    fn add(&mut self, kind: &str, own: &str, desired: Value) -> ResourceId {
        let id = self.id(kind, own);
        let cluster = self.id("eks.Cluster", "");
        let resource = Resource::new(id.clone(), "kinds", desired);
        let resource = if id == cluster {
            resource
        } else {
            resource.with_after(cluster)
        };
        self.request.resources.push(resource);
        id
    }

    fn change(&mut self, id: &ResourceId, changes: &Value) {
        let resource = self
            .request
            .resources
            .iter_mut()
            .find(|resource| &resource.id == id)
            .unwrap();
        let mut desired = Value::clone(&resource.desired);
        desired
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        resource.desired = desired.into();
    }
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

fn cluster() -> Value {
    json!({"version": "1.35", "role": role("cluster"), "subnets": ["subnet-2", "subnet-1"],
        "secrets_key": "arn:aws:kms:eu-west-1:123456789012:key/k", "tags": {"team": "ml"}})
}

fn nodes() -> Value {
    json!({"version": "1.35", "role": role("nodes"), "subnets": ["subnet-1", "subnet-2"], "instance_types": ["m7i.large"],
        "min": 1, "max": 3, "labels": {"pool": "a", "old": "b"}, "taints": ["gpu=yes:NoSchedule"], "tags": {"team": "ml"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_upgraded_step_by_step_and_protected() {
    let mut stage = Stage::new(Account::new().with_speed(20));
    let engine = stage.account.engine("a");
    let cluster = stage.add("eks.Cluster", "", cluster());
    let nodes = stage.add("eks.Nodegroup", "/default", nodes());
    let first = plan(&engine, &stage.request).await;
    assert_eq!(done(&apply(&engine, &first).await), 2);
    // What cannot change in place is refused, with a way out; an upgrade is asked about.
    stage.change(&cluster, &json!({"role": role("other")}));
    stage.change(&nodes, &json!({"instance_types": ["m7i.xlarge"]}));
    let refused = engine.plan(&stage.request).await.unwrap();
    for id in [&cluster, &nodes] {
        assert_eq!(refused.step(id).unwrap().action, Action::Blocked, "{id}");
    }
    // Two minor versions are two updates, and asked about.
    stage.change(
        &cluster,
        &json!({"role": role("cluster"), "version": "1.37", "deletion_protection": true}),
    );
    stage.change(&nodes, &json!({"instance_types": ["m7i.large"], "version": "1.37"}));
    let upgrade = plan(&engine, &stage.request).await;
    for id in [&cluster, &nodes] {
        assert!(upgrade.step(id).unwrap().risks.contains(&Risk::Irreversible), "{id}");
    }
    stage.account.forget();
    apply_with(&engine, &upgrade, &everything(&upgrade)).await;
    let calls = stage.account.eks.calls();
    assert_eq!(calls.iter().filter(|call| call.path.ends_with("/updates")).count(), 2);
    assert_eq!(
        stage.account.eks_server.refused(),
        0,
        "nothing is sent while an update runs"
    );
    assert!(plan(&engine, &stage.request).await.is_empty());

    // Nodes that are not well are a failure in EKS's words.
    let path = format!("clusters/{}", nodes.name().as_str().replace('/', "/node-groups/"));
    let health = json!({"issues": [{"code": "Ec2SubnetNotFound", "message": "the subnet is gone"}]});
    stage.account.eks_server.set_status(&path, "DEGRADED", health);
    let seen = stage
        .account
        .provider()
        .observe(&stage.request.set, &stage.request.resources)
        .await
        .unwrap();
    let why = format!("{:?}", seen.get(&nodes).unwrap().state);
    assert!(why.contains("Ec2SubnetNotFound: the subnet is gone"), "{why}");
    stage.account.eks_server.set_status(&path, "ACTIVE", Value::Null);

    // Protection and removal never go in one plan.
    let gone = PlanRequest::destroy(stage.request.set.clone());
    let destroy = engine.plan(&gone).await.unwrap();
    assert_eq!(destroy.step(&cluster).unwrap().action, Action::Blocked);
    let refused = engine.apply(&destroy, &everything(&destroy), &mut |_| {}).await;
    assert!(refused.unwrap_err().report().contains("protected from deletion"));
    stage.change(&cluster, &json!({"deletion_protection": false}));
    stage.request.resources.truncate(1);
    let open = plan(&engine, &stage.request).await;
    apply_with(&engine, &open, &everything(&open)).await;

    let destroy = plan(&engine, &gone).await;
    let report = apply_with(&engine, &destroy, &everything(&destroy)).await;
    assert_eq!(report.left.len(), 0, "{:?}", report.left);
}

const SIGN: &str = r#"
import sys, datetime, botocore.auth, botocore.credentials, botocore.awsrequest
date, cluster = datetime.datetime.strptime(sys.argv[1], "%Y%m%dT%H%M%SZ"), sys.argv[2]
botocore.auth.get_current_datetime = lambda remove_tzinfo=True: date
credentials = botocore.credentials.Credentials(sys.argv[3], "secret")
request = botocore.awsrequest.AWSRequest(method="GET", headers={"x-k8s-aws-id": cluster},
    url="https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15")
botocore.auth.SigV4QueryAuth(credentials, "sts", "eu-west-1", expires=60).add_auth(request)
print(request.url)
"#;

#[tokio::test]
async fn a_token_is_signed_as_awss_own_tools_sign_it() {
    let account = Account::new();
    let token = account
        .provider()
        .cluster_tokens("ml-platform-prod")
        .token()
        .await
        .unwrap();
    let url = token.expose_secret().strip_prefix("k8s-aws-v1.").unwrap();
    let url = String::from_utf8(BASE64_URL.decode(url).unwrap()).unwrap();
    let parts = |url: &str| -> BTreeSet<String> { url.split(['?', '&']).map(str::to_owned).collect() };
    let date = url.split("X-Amz-Date=").nth(1).unwrap();
    let python = Python::Aws.programs().unwrap().join("python");
    let output = Command::new(python)
        .args(["-c", SIGN, &date[..16], "ml-platform-prod", &account.id])
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(parts(&url), parts(theirs.trim()));
}
