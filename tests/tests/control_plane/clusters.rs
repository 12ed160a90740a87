//! A cluster that a plan makes, and its contents on a real API server, which knows the caller by tokens.

use std::{collections::BTreeMap, process::Command, sync::Arc};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use composition::{Eks, Platform, config::PlatformConfig};
use platform_core::engine::{Action, Approvals};
use platform_core::testing::World;
use platform_core::value::{Place, SystemClock};
use platform_core::{Connect, ErrorKind, Provider, Result};
use provider_aws::Aws;
use provider_k8s::{Endpoint, KubeProvider, TokenSource};
use secrecy::SecretString;
use serde_json::Value;
use xtask::control_plane::{ControlPlane, Options};

const CONFIG: &str = r#"
name: ml-platform
environment: dev
provider: aws
placement: { security: [aws, kubernetes] }
security: {}
aws:
  account: "111111111111"
  region: eu-west-1
  network: { existing: { vpc: vpc-1, private_subnets: [subnet-1, subnet-2] } }
  cluster: { create: { admins: ["arn:aws:iam::111111111111:role/Admin"] } }
"#;

#[derive(Debug)]
struct Token(String);

#[async_trait]
impl TokenSource for Token {
    async fn token(&self) -> Result<SecretString> {
        Ok(SecretString::from(self.0.clone()))
    }
}

/// What EKS would say of the cluster.
#[derive(Debug)]
struct Way {
    url: String,
    authority: String,
    token: String,
}

#[async_trait]
impl Connect for Way {
    async fn connect(&self, outputs: &BTreeMap<String, Value>) -> Result<Arc<dyn Provider>> {
        assert!(outputs.contains_key("endpoint"), "{outputs:?}");
        let endpoint = Endpoint {
            url: self.url.clone(),
            certificate_authority: self.authority.clone(),
            tokens: Arc::new(Token(self.token.clone())),
        };
        let builder = KubeProvider::at(endpoint).place(Place::kubernetes("main")?);
        Ok(Arc::new(builder.connect().await?))
    }
}

struct Stage {
    plane: ControlPlane,
    world: World,
}

impl Stage {
    fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(self.plane.kubectl());
        let command = command.env_clear().env("HOME", self.plane.folder()).arg("--kubeconfig");
        let output = command
            .arg(self.plane.admin().kubeconfig())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn way(&self, token: String) -> Way {
        let config: Value = serde_json::from_str(&self.kubectl(&["config", "view", "--raw", "-o", "json"])).unwrap();
        let cluster = &config["clusters"][0]["cluster"];
        let authority = match cluster["certificate-authority"].as_str() {
            Some(file) => std::fs::read(file).unwrap(),
            None => BASE64
                .decode(cluster["certificate-authority-data"].as_str().unwrap())
                .unwrap(),
        };
        Way {
            url: cluster["server"].as_str().unwrap().to_owned(),
            authority: String::from_utf8(authority).unwrap(),
            token,
        }
    }

    fn platform(&self, token: &str) -> Platform {
        let aws = Aws::on(Arc::new(self.world.clone()), Arc::new(SystemClock::new()));
        let eks = Eks::by(&aws, Arc::new(self.way(token.trim().to_owned()))).unwrap();
        let config = PlatformConfig::parse(CONFIG, "platform.yaml").unwrap();
        Platform::builder(config).provider(aws).provider(eks).build().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_and_its_contents_are_one_plan_on_a_real_api_server() {
    // One of its own: what the platform brings for volumes is the cluster's default.
    let plane = ControlPlane::start(&Options::default()).unwrap();
    let clock = Arc::new(SystemClock::new());
    let world = World::new(Place::aws("eu-west-1").unwrap(), provider_aws::facts, clock).with_pace(0);
    let stage = Stage { plane, world };
    stage.kubectl(&["create", "serviceaccount", "admin", "--namespace=default"]);
    let role = "--clusterrole=cluster-admin";
    stage.kubectl(&[
        "create",
        "clusterrolebinding",
        "tests-admin",
        role,
        "--serviceaccount=default:admin",
    ]);
    let token = stage.kubectl(&["create", "token", "admin", "--namespace=default"]);

    let platform = stage.platform(&token);
    let plan = platform.plan().await.unwrap();
    let inside = |plan: &platform_core::engine::Plan| {
        let steps = plan.steps.iter().filter(|step| step.id.place().as_ref() == "k8s/main");
        steps.map(|step| step.action).collect::<Vec<_>>()
    };
    assert!(
        inside(&plan).len() >= 5 && inside(&plan).iter().all(|action| *action == Action::Create),
        "{}",
        plan.display()
    );
    let report = platform.apply(&plan, &Approvals::none(), |_| {}).await.unwrap();
    let failures: Vec<String> = report
        .failures()
        .map(|(id, why)| format!("{id}: {}", why.report()))
        .collect();
    assert!(report.is_success(), "{failures:#?}");
    let class = stage.kubectl(&["get", "storageclass", "-o", "jsonpath={.items[*].parameters.kmsKeyId}"]);
    assert!(
        !class.is_empty() && !class.contains("$ref"),
        "the key that the plan made: {class}"
    );
    let again = platform.plan().await.unwrap();
    assert!(again.is_empty(), "{}", again.display());

    // Whoever it does not know is told so, and nothing is taken for absent.
    let stranger = stage.platform("stranger");
    let unknown = stranger.plan().await.unwrap();
    assert!(
        inside(&unknown).iter().all(|action| *action == Action::Blocked),
        "{}",
        unknown.display()
    );
    let refused = stranger.apply(&unknown, &Approvals::none(), |_| {}).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Blocked, "{}", refused.report());

    let gone = platform.destroy_plan().await.unwrap();
    let report = platform.apply(&gone, &Approvals::none(), |_| {}).await.unwrap();
    assert!(report.is_success());
    let left = stage.kubectl(&[
        "get",
        "networkpolicy,resourcequota,limitrange,storageclass",
        "-A",
        "-o",
        "name",
    ]);
    assert!(
        !left.contains("ml-platform") && !left.contains("default-deny"),
        "{left}"
    );
}
