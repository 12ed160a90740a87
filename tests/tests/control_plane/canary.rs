//! No secret value, read back from the cluster at the end, shows in anything that people, files and logs got to see.

mod example;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use composition::Platform;
use composition::config::PlatformConfig;
use composition::kubernetes::Kubernetes;
use platform_core::engine::{Promotion, Report};
use platform_core::value::{Clock, Recipe, SecretSource, SecretText, SystemClock};
use platform_core::{Error, ErrorKind, Provider as _};
use platform_tests::canary::{Canary, Log, Shown};
use platform_tests::manifests::manifest;
use provider_k8s::KubeProvider;
use serde_json::{Value, json};
use xtask::control_plane::CONTEXT;
use xtask::proxy::{Fault, Rule};

use crate::shared::{apply, control_plane, kubectl, kubectl_as, object, prefix, proxied, within};
use crate::stage::accepted;

/// Supplies a value for every name but one.
#[derive(Debug)]
struct Vault;

const UNKNOWN: &str = "NOBODY_KNOWS";

fn supplied(name: &str) -> String {
    format!("Zq7~supplied \"{name}\" 9vKx")
}

#[async_trait::async_trait]
impl SecretSource for Vault {
    async fn get(&self, name: &str) -> Result<SecretText, Error> {
        if name == UNKNOWN {
            return Err(Error::new(ErrorKind::NotFound, format!("the vault has no {name}")));
        }
        Ok(SecretText::new(supplied(name)))
    }
}

/// What was shown so far of one platform, and the values that its Secrets held.
struct Audience {
    prefix: String,
    canary: Canary,
    shown: Shown,
    /// Revision of the authority that signs certificates.
    authority: u32,
}

impl Audience {
    fn new() -> Self {
        Self {
            prefix: prefix(),
            canary: Canary::default(),
            shown: Shown::default(),
            authority: 1,
        }
    }

    /// Every value of every Secret in the platform's namespaces, but constants that stand in plans anyway.
    fn learn(&mut self) {
        let secrets = object("secrets --all-namespaces").unwrap();
        let mut read = Vec::new();
        for secret in secrets["items"].as_array().unwrap() {
            let metadata = &secret["metadata"];
            let namespace = metadata["namespace"].as_str().unwrap();
            if !namespace.starts_with(&self.prefix) {
                continue;
            }
            let recipes: BTreeMap<String, Value> = metadata["annotations"]["mlplat.dev/recipes"]
                .as_str()
                .map(|text| serde_json::from_str(text).unwrap())
                .unwrap_or_default();
            for (key, value) in secret["data"].as_object().into_iter().flatten() {
                let value = STANDARD.decode(value.as_str().unwrap()).unwrap();
                let name = format!("{namespace}/{} {key}", metadata["name"].as_str().unwrap());
                read.push((name, recipes.get(key).and_then(Recipe::of_value), value));
            }
        }
        let constants: Vec<Vec<u8>> = read
            .iter()
            .filter(|(_, recipe, _)| matches!(recipe, Some(Recipe::Literal { .. })))
            .map(|(_, _, value)| value.clone())
            .collect();
        for (name, recipe, value) in read {
            // A constant, a copy of one, or a text that is made of none but constants.
            let known = matches!(&recipe, Some(Recipe::Derive { template }) if template.as_bytes() == value);
            if !known && !constants.contains(&value) {
                self.canary.watch(&name, &value);
            }
        }
    }

    /// A platform of this audience, whose every public part prints itself.
    async fn platform(&mut self, kubeconfig: &Path, secrets: &[(&str, &str, u32)]) -> Platform {
        let secrets: Vec<String> = secrets
            .iter()
            .map(|(name, supplied, revision)| format!("{{ name: {name}, supplied: {supplied}, revision: {revision} }}"))
            .collect();
        let text = format!(
            "name: ml-platform\nenvironment: local\nprovider: kubernetes\nnamespace_prefix: {}\n\
             database: {{ storage: 1Gi }}\ncache: {{ memory: 128Mi }}\n\
             storage: {{ capacity: 1Gi, flavour: minio, buckets: [{{ name: datasets }}] }}\n\
             security: {{ secrets: [{}], revisions: {{ authority: {} }} }}\n",
            self.prefix,
            secrets.join(", "),
            self.authority
        );
        let config = PlatformConfig::parse(&text, "canary.yaml").unwrap();
        self.shown.text("the config", config.explain());
        self.shown.text("the config", config.to_json().to_string());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let builder = KubeProvider::builder(kubeconfig, CONTEXT)
            .secrets(Arc::new(Vault))
            .clock(Arc::clone(&clock));
        self.shown.debug("Debug of the provider", &builder);
        let provider = builder.connect().await.unwrap();
        let stack = Kubernetes::on(Arc::new(provider), clock);
        self.shown.debug("Debug of the stack", &stack);
        let builder = Platform::builder(config)
            .provider(stack)
            .holder("tests@here:1:one")
            .lease_ttl(Duration::from_secs(1));
        self.shown.debug("Debug of the platform", &builder);
        let platform = builder.build().unwrap();
        for resource in &platform.request().unwrap().resources {
            self.shown.text("a manifest", manifest(resource).to_string());
        }
        platform
    }

    /// Plans and applies.
    async fn apply(&mut self, platform: &Platform, destroy: bool) -> Result<Report, Error> {
        // a place in the code that another test came to first, just as the log was made, would stay silent
        tracing::callsite::rebuild_interest_cache();
        let planned = if destroy {
            platform.destroy_plan().await
        } else {
            platform.plan().await
        };
        let plan = planned.inspect_err(|why| self.error(why))?;
        let approvals = accepted(&plan);
        self.shown.text("a plan", plan.display().to_string());
        self.shown.text("a plan as JSON", plan.document().to_string());
        self.shown.text("a plan file", plan.to_json().unwrap());
        let promotion = plan.promotion();
        self.shown
            .text("a promotion", serde_json::to_string(&promotion).unwrap());
        let alone = Promotion {
            effects: Vec::new(),
            ..promotion.clone()
        };
        for comparison in [promotion.compare(&alone), alone.compare(&promotion)] {
            let text = format!("{} {}", comparison.display(), comparison.document());
            self.shown.text("a comparison of plans", text);
        }
        self.shown.debug("Debug of a plan", &plan);
        self.shown.debug("Debug of approvals", &approvals);
        let shown = &mut self.shown;
        let applied = platform
            .apply(&plan, &approvals, |event| {
                shown.text("an event", event.to_string());
                shown.text("an event as JSON", event.document().to_string());
                shown.debug("Debug of an event", &event);
            })
            .await;
        let report = applied.inspect_err(|why| self.error(why))?;
        self.shown.text("a report", report.display().to_string());
        self.shown.text("a report as JSON", report.document().to_string());
        self.shown.text("outputs", report.outputs().display().to_string());
        self.shown
            .text("outputs as JSON", report.outputs().document().to_string());
        self.shown.debug("Debug of a report", &report);
        for (_, why) in report.failures() {
            self.error(why);
        }
        self.shown.debug("Debug of the platform", platform);
        Ok(report)
    }

    fn error(&mut self, why: &Error) {
        self.shown.text("an error", format!("{why}\n{}", why.report()));
        self.shown.debug("Debug of an error", why);
    }

    /// What a provider answers the engine.
    async fn answers(&mut self, platform: &Platform, kubeconfig: &Path) {
        let provider = KubeProvider::builder(kubeconfig, CONTEXT).connect().await.unwrap();
        let request = platform.request().unwrap();
        let seen = provider.observe(platform.set(), &request.resources).await.unwrap();
        self.shown.debug("Debug of an observation", &seen);
        for wanted in &request.resources {
            let preview = provider.preview(wanted, &seen).await.unwrap();
            self.shown.debug("Debug of a preview", &preview);
        }
        self.shown.debug("Debug of the provider", &provider);
    }

    /// Fails when a value shows; and when one that does is not found.
    fn check(mut self) {
        self.canary.assert_hidden(&self.shown);
        let secret = object(&format!(
            "secret postgres-credentials --namespace {}database",
            self.prefix
        ))
        .unwrap();
        let encoded = secret["data"]["password"].as_str().unwrap();
        let password = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        for leak in [encoded, password.as_str()] {
            self.shown.text("a leak", format!("{{\"password\":\"{leak}\"}}"));
        }
        let seen = self.canary.sightings(&self.shown);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen.iter().all(|what| what.ends_with(" shows in a leak")), "{seen:?}");
    }
}

#[test]
fn values_show_in_no_plan_event_report_error_or_log() {
    // before the log: other tests start it too
    control_plane();
    let log = Log::default();
    let mut audience = Audience::new();
    for name in ["MODEL_REGISTRY_TOKEN", "OTHER_TOKEN"] {
        audience.canary.watch(name, supplied(name).as_bytes());
    }
    // On one thread, so that whatever is spawned logs here as well.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tracing::subscriber::with_default(log.clone(), || runtime.block_on(live(&mut audience)));
    drop(runtime);
    let log = log.text();
    for target in ["kube_client", "hyper_util", "tower"] {
        assert!(log.contains(target), "{target} logs nothing");
    }
    println!(
        "{} values looked for, {} bytes of log",
        audience.canary.values(),
        log.len()
    );
    assert!(audience.canary.values() > 15);
    audience.shown.text("the log", log);
    audience.check();
}

/// A platform's life, with every refusal that a write of a Secret meets.
async fn live(audience: &mut Audience) {
    const TOKEN: (&str, &str, u32) = ("model-registry", "MODEL_REGISTRY_TOKEN", 1);
    let admin = control_plane().admin().kubeconfig();
    let prefix = audience.prefix.clone();
    let platform = audience.platform(admin, &[TOKEN]).await;
    let report = audience.apply(&platform, false).await.unwrap();
    assert!(report.is_success(), "{}", report.display());
    assert!(audience.apply(&platform, false).await.unwrap().is_success());
    audience.learn();
    audience.answers(&platform, admin).await;
    let outputs = platform.outputs().await.unwrap();
    audience.shown.debug("Debug of outputs", &outputs);

    let nobody = control_plane().user(&format!("{prefix}nobody"), &[]).unwrap();
    let platform = audience.platform(nobody.kubeconfig(), &[TOKEN]).await;
    let why = audience.apply(&platform, false).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Forbidden);

    let more = ("other", "OTHER_TOKEN", 1);
    let (proxy, through) = proxied(control_plane().admin());
    let platform = audience.platform(&through, &[TOKEN, more]).await;
    let conflict = "the object has been modified; please apply your changes to the latest version and try again";
    let posted = |fault| Rule::new(fault).writes().path("/secrets?");
    for fault in [
        Fault::refusal(409, "Conflict", conflict),
        Fault::refusal(500, "", "etcdserver: mvcc: database space exceeded"),
    ] {
        proxy.set_rules([posted(fault)]);
        refused(audience, &platform, "").await;
    }
    proxy.set_rules([]);

    let unknown = audience.platform(admin, &[TOKEN, ("other", UNKNOWN, 1)]).await;
    refused(audience, &unknown, "the vault has no").await;

    let space = platform_space(&platform);
    kubectl(&[
        "create",
        "quota",
        "few",
        "--hard=count/secrets=0",
        "--namespace",
        &space,
    ]);
    within(Duration::from_mins(1), "the quota", || {
        tried(&space).1.contains("exceeded quota")
    });
    refused(audience, &platform, "exceeded quota").await;
    kubectl(&["delete", "quota", "few", "--namespace", &space]);

    // A rule whose words are the value itself: only the provider can take it out.
    telling(&prefix, &space, "Deny");
    refused(audience, &platform, "***").await;
    telling(&prefix, &space, "Warn");
    // What is tried again is told as an event.
    let bad_gateway = posted(Fault::answer(502, "<html>bad gateway</html>"));
    proxy.set_rules([bad_gateway.nth(1), posted(Fault::DropBefore).nth(2)]);
    let report = audience.apply(&platform, false).await.unwrap();
    assert!(report.is_success(), "{}", report.display());
    let events = audience.shown.of("an event");
    assert!(events.contains("again in"), "{events}");
    let policy = format!("{prefix}telling");
    kubectl(&[
        "delete",
        "validatingadmissionpolicybinding,validatingadmissionpolicy",
        &policy,
    ]);

    let raised = audience
        .platform(admin, &[("model-registry", "MODEL_REGISTRY_TOKEN", 2), more])
        .await;
    assert_eq!(audience.apply(&raised, false).await.unwrap().writes, 1);
    audience.learn();
    // A second authority, whose key lies beside the first one's, and certificates anew.
    audience.authority = 2;
    let rolled = audience
        .platform(admin, &[("model-registry", "MODEL_REGISTRY_TOKEN", 2), more])
        .await;
    assert!(audience.apply(&rolled, false).await.unwrap().writes > 5);
    let before = audience.canary.values();
    audience.learn();
    assert!(audience.canary.values() > before + 5);
    let report = audience.apply(&raised, true).await.unwrap();
    assert!(report.is_success(), "{}", report.display());
    audience.learn();
}

/// Applies what must not succeed.
async fn refused(audience: &mut Audience, platform: &Platform, why: &str) {
    let before = audience.shown.of("an error").len();
    match audience.apply(platform, false).await {
        Ok(report) => assert!(!report.is_success(), "{why}: {}", report.display()),
        Err(error) => println!("refused: {error}"),
    }
    let errors = audience.shown.of("an error");
    assert!(errors[before..].contains(why), "{why}: {}", &errors[before..]);
}

/// The namespace of supplied secrets.
fn platform_space(platform: &Platform) -> String {
    let request = platform.request().unwrap();
    let secret = request
        .resources
        .iter()
        .find(|one| one.id.name().base() == "other")
        .unwrap();
    secret.id.name().namespace().unwrap().to_owned()
}

/// An admission rule for Secrets of this namespace that repeats the value.
fn telling(prefix: &str, space: &str, action: &str) {
    let group = "admissionregistration.k8s.io/v1";
    let name = format!("{prefix}telling");
    apply(&[
        json!({
            "apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [
                    { "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"] },
                ]},
                "validations": [{
                    "expression": "!has(object.data) || !('value' in object.data)",
                    "messageExpression": "'it holds ' + string(object.data['value'])",
                }],
            },
        }),
        json!({
            "apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
            "spec": {
                "policyName": name, "validationActions": [action],
                "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": space } } },
            },
        }),
    ]);
    within(Duration::from_mins(1), "the rule", || {
        let (made, said) = tried(space);
        said.contains("it holds") && made == (action == "Warn")
    });
}

/// Whether a Secret could be made here, and what the server says to it.
fn tried(space: &str) -> (bool, String) {
    let space = format!("--namespace={space}");
    let try_one = [
        "create",
        "secret",
        "generic",
        "tried",
        "--from-literal=value=tried",
        "--dry-run=server",
        &space,
    ];
    let output = kubectl_as(control_plane().admin(), &try_one);
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
