//! Secret values: made once, supplied anew by revision, copied, never shown.

use crate::between::over;
use crate::emulators::{self, Account};
use crate::platform::{Platform, apply, fields, plan};
use crate::rights::Seen;
use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use platform_core::engine::Approvals;
use platform_core::value::{Recipe, SecretSource, SecretText, Supplied};
use platform_core::{Provider, Resource};
use provider_aws::SdkConfig;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A vault whose secret has another value whenever it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Vault(AtomicU64);

#[async_trait]
impl SecretSource for Vault {
    async fn get(&self, name: &str) -> platform_core::Result<SecretText> {
        let version = self.0.fetch_add(1, Ordering::Relaxed);
        let value = format!("canary-{name}-{version}");
        let url = (name == "hook").then(|| format!("https://hooks.example.com/{value}"));
        Ok(SecretText::new(url.unwrap_or(value)))
    }
}

fn supplied(revision: u64) -> serde_json::Value {
    Recipe::Supplied(Supplied {
        supplied: "smtp".into(),
        revision,
    })
    .to_value()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_revision_changes_that_value_and_no_other() {
    let account = Account::new().with_speed(20);
    let mut platform = Platform::of(&account);
    platform.secret_settings["data"]["smtp"] = supplied(1);
    let nobody = account.engine("a");
    let first = plan(&nobody, &platform.request()).await;
    let report = nobody.apply(&first, &Approvals::none(), &mut |_| {}).await.unwrap();
    let (_, why) = report.failures().next().unwrap();
    assert!(why.report().contains("SecretSource"), "{}", why.report());

    let engine = account.engine_of(account.supplied(Arc::new(Vault::default())), "b");
    apply(&engine, &plan(&engine, &platform.request()).await).await;
    let before = platform.value(&account).await;
    assert_eq!(before["smtp"], "canary-smtp-0");
    assert!(
        plan(&engine, &platform.request()).await.is_empty(),
        "asking twice changes nothing"
    );

    platform.secret_settings["data"]["smtp"] = supplied(2);
    let change = plan(&engine, &platform.request()).await;
    assert_eq!(fields(&change, &platform.secret), ["data.smtp.$secret.revision"]);
    apply(&engine, &change).await;
    let after = platform.value(&account).await;
    assert_eq!(after["smtp"], "canary-smtp-1");
    assert_eq!(after["password"], before["password"]);

    // There and back again: each is an update of its own, no token is used twice.
    for revision in [1, 2] {
        platform.secret_settings["data"]["smtp"] = supplied(revision);
        apply(&engine, &plan(&engine, &platform.request()).await).await;
    }
    assert_eq!(platform.value(&account).await["smtp"], "canary-smtp-3");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_is_ever_shown() {
    let account = Account::new().with_speed(20);
    let mut platform = Platform::of(&account);
    platform.secret_settings["data"]["smtp"] = supplied(1);
    let sent = Sent::default();
    let provider = account.provider_by(&sent.over(&account.config()));
    let provider = provider.with_secrets(Arc::new(Vault::default()));
    let engine = account.engine_of(provider.clone(), "a");
    let mut request = platform.request();
    let copy: platform_core::value::ResourceId =
        format!("aws/eu-west-1:secretsmanager.Secret/p{}-dev/copy", account.id)
            .parse()
            .unwrap();
    let recipe = Recipe::Copy {
        from: platform.secret.to_string(),
        key: "password".into(),
        revision: 1,
    };
    request.resources.push(
        Resource::new(copy.clone(), "monitoring", json!({"data": {"pw": recipe.to_value()}}))
            .with_after(platform.secret.clone()),
    );
    let topic = format!("aws/eu-west-1:sns.Topic/p{}-dev-critical", account.id);
    let hook = Recipe::Supplied(Supplied {
        supplied: "hook".into(),
        revision: 1,
    });
    let hooks = json!({"webhooks": {"oncall": hook.to_value()}});
    request
        .resources
        .push(Resource::new(topic.parse().unwrap(), "monitoring", hooks));
    let first = plan(&engine, &request).await;
    let mut said = vec![first.to_json().unwrap()];
    let report = engine
        .apply(&first, &Approvals::none(), &mut |event| {
            said.push(format!("{event:?}"));
        })
        .await
        .unwrap();
    assert!(report.is_success(), "{report:?}");
    let value = platform.value(&account).await;
    let password = value["password"].as_str().unwrap().to_owned();
    let copied = Platform {
        secret: copy,
        ..platform.clone()
    }
    .value(&account)
    .await;
    assert_eq!(copied["pw"], password.as_str());

    said.push(format!("{report:?} {provider:?} {engine:?}"));
    said.push(format!(
        "{:?}",
        provider.observe(&platform.set, &request.resources).await.unwrap()
    ));
    said.push(plan(&engine, &request).await.to_json().unwrap());
    // A secret that is no JSON object: the message of a parser would quote it.
    account
        .secrets()
        .put_secret_value()
        .secret_id(platform.secret.name().as_str())
        .secret_string(&password)
        .send()
        .await
        .unwrap();
    platform.secret_settings["data"]["more"] = Recipe::generate(20).to_value();
    let change = plan(&engine, &platform.request()).await;
    let report = engine
        .apply(&change, &Approvals::none(), &mut |event| {
            said.push(format!("{event:?}"));
        })
        .await
        .unwrap();
    let (_, why) = report.failures().next().unwrap();
    said.push(format!("{} {why:?} {report:?}", why.report()));
    let said = said.join("\n");
    assert!(said.contains("not a JSON object"), "{}", why.report());
    let logs = emulators::logs();
    assert!(logs.len() > 1000, "{logs}");
    for (canary, to) in [
        (
            password.as_str(),
            &["secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"][..],
        ),
        ("canary-smtp", &["secretsmanager:CreateSecret"]),
        ("canary-hook", &["sns:Subscribe"]),
    ] {
        assert!(!said.contains(canary), "{canary} is shown");
        // SNS's own log names its subscribers.
        let logged = logs.lines().filter(|line| !line.contains("SNS"));
        let logged: Vec<&str> = logged.filter(|line| line.contains(canary)).collect();
        assert!(logged.is_empty(), "{logged:?}");
        let told = sent.with(canary);
        assert!(!told.is_empty(), "{canary} was sent");
        for (action, outside) in told {
            assert!(to.contains(&action.as_str()), "{canary} went to {action}");
            assert!(!outside, "{canary} is in the address or a header of {action}");
        }
    }
}

/// What was sent: action, address with headers, body.
#[derive(Clone, Debug)]
struct Sent(Arc<Mutex<Vec<[String; 3]>>>, Seen);

impl Default for Sent {
    fn default() -> Self {
        Self(Arc::default(), Seen::new())
    }
}

impl Sent {
    fn over(&self, config: &SdkConfig) -> SdkConfig {
        let sent = self.clone();
        over(config, move |wire, request| {
            let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
            let headers = request.headers().iter().map(|(key, value)| format!("{key}: {value}\n"));
            let head = format!("{}\n{}", request.uri(), headers.collect::<String>());
            let action = sent.1.action(&request).unwrap_or_default();
            sent.0.lock().unwrap().push([action, head, body]);
            wire.call(request)
        })
    }

    /// The calls that told this value, and whether elsewhere than in their bodies.
    fn with(&self, value: &str) -> Vec<(String, bool)> {
        let sent = self.0.lock().unwrap();
        let told = sent
            .iter()
            .filter(|[_, head, body]| head.contains(value) || body.contains(value));
        told.map(|[action, head, _]| (action.clone(), head.contains(value)))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rendered_is_refused_before_any_write() {
    let account = Account::new();
    let engine = account.engine("a");
    for (data, why) in [
        (json!({"password": "hunter2"}), "never stand in a config"),
        (
            json!({"*": Recipe::CertificateAuthority { common_name: "x".into(), revision: 1 }.to_value()}),
            "certificates",
        ),
        (
            json!({"a": Recipe::Derive { template: "{b}".into() }.to_value()}),
            "do not exist",
        ),
        (json!({"a": Recipe::generate(2).to_value()}), "8 to 4096"),
        (json!({}), "without a value"),
    ] {
        let mut platform = Platform::of(&account);
        platform.secret_settings["data"] = data;
        let refused = engine.plan(&platform.request()).await.unwrap();
        let blocked = refused.step(&platform.secret).unwrap().blocked.clone().unwrap();
        let text = format!("{}; {}", blocked.why, blocked.help);
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
