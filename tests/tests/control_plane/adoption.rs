//! Objects that kubectl, Helm and Terraform made, taken over under names of theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use composition::{PlanOptions, Platform};
use flate2::{Compression, write::GzEncoder};
use platform_core::Resource;
use platform_core::engine::{Action, Plan};
use platform_core::value::{FieldPath, Recipe, ResourceId};
use serde_json::{Value, json};

use crate::configured::{apply, platform, uids};
use crate::shared::{control_plane, kubectl, object, prefix};
use crate::stage::told;

/// A tool, by the traces that it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tool {
    Kubectl,
    /// Helm 3 creates, Helm 4 applies.
    Helm,
    /// Typed resources are created, manifests applied.
    Terraform,
}

const RELEASE: &str = "legacy";

fn config(prefix: &str, more: &str) -> String {
    format!(
        "name: ml\nenvironment: local\nprovider: kubernetes\nnamespace_prefix: {prefix}\n\
         names: {{ postgres: legacy-db, redis: legacy-cache, minio: legacy-store }}\n\
         cache: {{ memory: 256Mi }}\nstorage: {{ capacity: 20Gi }}\n{more}\n"
    )
}

/// Who made an object; `None`: it is not there yet.
fn maker(wish: &Resource) -> Option<Tool> {
    let adopted = match wish.id.kind().as_str() {
        "Namespace"
        | "ConfigMap"
        | "Service"
        | "ServiceAccount"
        | "PodDisruptionBudget.policy"
        | "PersistentVolumeClaim"
        | "StatefulSet.apps" => true,
        "Secret" => values(wish).is_some(),
        _ => false,
    };
    let space = wish.id.name().namespace().unwrap_or(wish.id.name().as_str());
    let tool = match space.rsplit('-').next() {
        Some("database") => Tool::Kubectl,
        Some("cache") => Tool::Helm,
        Some("storage") => Tool::Terraform,
        _ => return None,
    };
    // Helm makes a namespace without a mark, if at all.
    let tool = if wish.id.kind().as_str() == "Namespace" {
        Tool::Kubectl
    } else {
        tool
    };
    adopted.then_some(tool)
}

/// Values for a Secret that a tool could have made: the passwords. What is made of them comes with the adoption.
fn values(wish: &Resource) -> Option<Value> {
    let recipes = wish.desired["data"].as_object()?;
    let value = |recipe: &Value| match Recipe::of_value(recipe)? {
        Recipe::Generate { .. } | Recipe::GenerateBytes { .. } => Some("made-by-another-tool".to_owned()),
        Recipe::Literal { value } => Some(value),
        _ => None,
    };
    let known: serde_json::Map<_, _> = recipes
        .iter()
        .filter_map(|(key, recipe)| Some((key.clone(), json!(STANDARD.encode(value(recipe)?)))))
        .collect();
    (!known.is_empty()).then_some(Value::Object(known))
}

/// The wish as the tool would have sent it.
fn manifest(wish: &Resource, tool: Tool) -> Value {
    let (kind, group) = wish
        .id
        .kind()
        .as_str()
        .split_once('.')
        .unwrap_or((wish.id.kind().as_str(), ""));
    let mut body = Value::clone(&wish.desired);
    // Certificates of ours are what nobody else has pods start with.
    if let Some(map) = body.pointer_mut("/spec/template/metadata/annotations") {
        map.as_object_mut().unwrap().retain(|_, value| value.is_string());
    }
    body["kind"] = json!(kind);
    body["apiVersion"] = json!(if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    });
    body["metadata"]["name"] = json!(wish.id.name().base());
    if let Some(namespace) = wish.id.name().namespace() {
        body["metadata"]["namespace"] = json!(namespace);
        if tool == Tool::Helm {
            body["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
            body["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!(RELEASE);
            body["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = json!(namespace);
        }
    }
    if kind == "Secret" {
        body["data"] = values(wish).unwrap();
    }
    body
}

fn make(tool: Tool, objects: &[Value]) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let send = |arguments: &[&str], objects: &[&Value]| {
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let file = control_plane().folder().join(format!("adoption-{count}.json"));
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        std::fs::write(&file, list.to_string()).unwrap();
        kubectl(&[arguments, &["--filename", file.to_str().unwrap()]].concat());
    };
    let (applied, created): (Vec<&Value>, Vec<&Value>) = objects
        .iter()
        .partition(|object| object["kind"] == "ConfigMap" || object["kind"] == "Service");
    match tool {
        Tool::Kubectl => send(&["apply"], &objects.iter().collect::<Vec<_>>()),
        Tool::Helm => {
            send(&["create", "--field-manager=helm"], &created);
            send(&["apply", "--server-side", "--field-manager=helm"], &applied);
        }
        Tool::Terraform => {
            send(&["create", "--field-manager=HashiCorp"], &created);
            send(&["apply", "--server-side", "--field-manager=Terraform"], &applied);
        }
    }
}

/// Helm's record of a revision.
fn record(namespace: &str, revision: u32, status: &str, listed: &[Value]) -> Value {
    let texts: Vec<String> = listed
        .iter()
        .map(|one| format!("---\n# Source: chart\n{one}\n"))
        .collect();
    let release = json!({ "name": RELEASE, "namespace": namespace, "version": revision, "manifest": texts.concat() });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(release.to_string().as_bytes()).unwrap();
    let once = STANDARD.encode(gzip.finish().unwrap());
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": {
            "name": format!("sh.helm.release.v1.{RELEASE}.v{revision}"), "namespace": namespace,
            "labels": { "owner": "helm", "name": RELEASE, "status": status, "version": revision.to_string() },
        },
        "data": { "release": STANDARD.encode(once) },
    })
}

async fn plan(platform: &Platform, adopt: &BTreeMap<ResourceId, Tool>) -> Plan {
    let options = PlanOptions::default().with_adopt(adopt.keys().cloned());
    platform.plan_with(&options).await.unwrap()
}

fn live(id: &ResourceId) -> Value {
    let space = id
        .name()
        .namespace()
        .map(|space| format!(" --namespace={space}"))
        .unwrap_or_default();
    object(&format!(
        "{} {}{space} --show-managed-fields",
        id.kind().short(),
        id.name().base()
    ))
    .unwrap()
}

/// An object without its stamps and without the marks of a tool.
fn content(mut object: Value) -> Value {
    let metadata = &mut object["metadata"];
    let stamp = |key: &str| {
        [
            "mlplat.dev/",
            "applyset.kubernetes.io/",
            "meta.helm.sh/",
            "kubectl.kubernetes.io/last",
            "app.kubernetes.io/managed-by",
        ]
        .iter()
        .any(|start| key.starts_with(start))
    };
    for group in ["labels", "annotations"] {
        if let Some(map) = metadata.get_mut(group).and_then(Value::as_object_mut) {
            map.retain(|key, _| !stamp(key));
            if map.is_empty() {
                metadata.as_object_mut().unwrap().remove(group);
            }
        }
    }
    for key in ["managedFields", "resourceVersion"] {
        metadata.as_object_mut().unwrap().remove(key);
    }
    object.as_object_mut().unwrap().remove("status");
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_tools_made_is_taken_over_with_its_stamp_alone() {
    let prefix = prefix();
    let first = config(
        &prefix,
        "tags: { team: ml }\nimages: { pull_secrets: [mirror] }\ndatabase: { version: \"17\", max_connections: 200 }",
    );
    let one = platform(&first, None).await;
    let wishes = one.request().unwrap().resources;
    let made: BTreeMap<ResourceId, Tool> = wishes
        .iter()
        .filter_map(|wish| Some((wish.id.clone(), maker(wish)?)))
        .collect();
    let manifests = |tool: Tool, namespaces: bool| -> Vec<Value> {
        let of = |wish: &&Resource| {
            made.get(&wish.id) == Some(&tool) && (wish.id.kind().as_str() == "Namespace") == namespaces
        };
        wishes.iter().filter(of).map(|wish| manifest(wish, tool)).collect()
    };
    make(Tool::Kubectl, &manifests(Tool::Kubectl, true));
    for tool in [Tool::Kubectl, Tool::Helm, Tool::Terraform] {
        make(tool, &manifests(tool, false));
    }
    println!("{} objects to adopt, {} wishes", made.len(), wishes.len());
    assert!(made.len() > 25, "{made:?}");

    // A release that lives keeps what its revision lists.
    let cache = format!("{prefix}cache");
    let helms = manifests(Tool::Helm, false);
    make(
        Tool::Kubectl,
        &[
            record(&cache, 1, "superseded", &helms),
            record(&cache, 2, "deployed", &helms[1..]),
        ],
    );
    let refused = plan(&one, &made).await;
    let blocked: BTreeSet<&ResourceId> = refused
        .steps
        .iter()
        .filter(|step| step.action == Action::Blocked)
        .map(|step| &step.id)
        .collect();
    assert_eq!(
        blocked.len(),
        helms.len() - 1,
        "all but the one that was taken out of the chart: {blocked:?}"
    );
    assert!(blocked.iter().all(|id| made[*id] == Tool::Helm));
    let why = refused.step(blocked.first().unwrap()).unwrap().blocked.clone().unwrap();
    assert_eq!(
        why.why,
        format!("the name is taken by Helm release legacy: its revision 2 in {cache} lists it")
    );
    assert!(
        why.help.contains("helm.sh/resource-policy=keep")
            && why.help.contains(&format!("helm uninstall legacy --namespace {cache}")),
        "{}",
        why.help
    );
    // helm uninstall takes its records along.
    kubectl(&["delete", "secret", "--namespace", &cache, "--selector=owner=helm"]);

    let adoption = plan(&one, &made).await;
    for step in &adoption.steps {
        let Some(tool) = made.get(&step.id) else {
            assert_eq!(step.action, Action::Create, "{}", step.id);
            continue;
        };
        assert_eq!(step.action, Action::Adopt, "{}", step.id);
        let changes: Vec<String> = step.changes.iter().map(|change| change.path.to_string()).collect();
        let mut expected: Vec<&str> = Vec::new();
        if serves_tls(&step.id) {
            expected.extend([
                "spec.template.metadata.annotations.\"mlplat.dev/authority\"",
                "spec.template.metadata.annotations.\"mlplat.dev/certificate\"",
            ]);
        }
        if *tool == Tool::Helm {
            expected.push("metadata.labels.\"app.kubernetes.io/managed-by\"");
        }
        if step.id.kind().as_str() == "Secret" {
            // Whether a value that is not generated differs is not read; a password is kept.
            let wish = wishes.iter().find(|wish| wish.id == step.id).unwrap();
            for (key, recipe) in wish.desired["data"].as_object().unwrap() {
                let kept = matches!(Recipe::of_value(recipe), Some(Recipe::Generate { .. }));
                let path = FieldPath::from("data").key(key).to_string();
                assert_eq!(changes.contains(&path), !kept, "{}: {path}", step.id);
            }
            continue;
        }
        expected.sort_unstable();
        assert_eq!(changes, expected, "{}", step.id);
        let warned = step
            .warnings
            .iter()
            .any(|warning| warning.contains("terraform state rm"));
        assert_eq!(warned, *tool == Tool::Terraform, "{}", step.id);
    }
    let before: BTreeMap<&ResourceId, Value> = made.keys().map(|id| (id, content(live(id)))).collect();
    let pods = uids(&prefix, "pods");
    let mark = control_plane().audit_mark().unwrap();
    apply(&one, &adoption).await;

    let (events, _) = control_plane().audit_since(mark).unwrap();
    for (id, tool) in &made {
        let after = live(id);
        let mut now = content(after.clone());
        if id.kind().as_str() == "Secret" {
            let known = &before[id]["data"];
            now["data"]
                .as_object_mut()
                .unwrap()
                .retain(|key, _| !known[key].is_null());
        }
        if serves_tls(id) {
            // Started once with its certificate: all else stays.
            for key in ["metadata", "spec"] {
                let mut before = before[id].clone();
                for one in [&mut now, &mut before] {
                    one["metadata"]["generation"] = Value::Null;
                    let annotations = one.pointer_mut("/spec/template/metadata/annotations");
                    let annotations = annotations.and_then(Value::as_object_mut).unwrap();
                    annotations
                        .retain(|key, _| !["mlplat.dev/authority", "mlplat.dev/certificate"].contains(&key.as_str()));
                }
                assert_eq!(now[key], before[key], "{id}");
            }
        } else {
            assert_eq!(now, before[id], "{id}");
        }
        let path = format!("/{}?", id.name().base());
        let writes: Vec<&str> = events
            .iter()
            .filter(|event| event.writes() && event.user_agent.starts_with("mlplat/"))
            .filter(|event| event.uri.contains(&path) && event.uri.contains(&plural(id)))
            .map(|event| event.verb.as_str())
            .collect();
        assert!(
            (1..=2).contains(&writes.len()) && writes.iter().all(|verb| *verb == "patch"),
            "{id}: {writes:?}"
        );
        let metadata = &after["metadata"];
        let left: Vec<&str> = metadata["managedFields"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| entry["manager"].as_str())
            .filter(|name| {
                ["kubectl", "helm", "HashiCorp", "Terraform"]
                    .iter()
                    .any(|tool| name.starts_with(tool))
            })
            .collect();
        if id.kind().as_str() != "Secret" {
            assert_eq!(left, Vec::<&str>::new(), "{id} of {tool:?}");
        }
        for mark in [
            "meta.helm.sh/release-name",
            "kubectl.kubernetes.io/last-applied-configuration",
        ] {
            assert!(metadata["annotations"][mark].is_null(), "{id}: {mark}");
        }
    }
    let now = uids(&prefix, "pods");
    assert_eq!(now.keys().collect::<Vec<_>>(), pods.keys().collect::<Vec<_>>());
    assert_eq!(told(&one.plan().await.unwrap()), Vec::<String>::new());

    // From now on what the config no longer names goes, whoever set it.
    let second = config(&prefix, "database: { version: \"17\", max_connections: 220 }");
    let other = platform(&second, None).await;
    let change = other.plan().await.unwrap();
    apply(&other, &change).await;
    for id in made.keys() {
        let after = live(id);
        assert!(after["metadata"]["labels"]["team"].is_null(), "{id}");
        if id.kind().as_str() == "StatefulSet.apps" {
            let pod = &after["spec"]["template"]["spec"];
            assert!(pod["imagePullSecrets"].is_null(), "{id}: {}", pod["imagePullSecrets"]);
            assert_eq!(pod["dnsPolicy"], "ClusterFirst");
        }
    }
    let settings = live(
        made.keys()
            .find(|id| id.name().as_str().ends_with("/legacy-db-config"))
            .unwrap(),
    );
    assert!(
        settings["data"].to_string().contains("max_connections = 220"),
        "{}",
        settings["data"]
    );
    assert_eq!(told(&other.plan().await.unwrap()), Vec::<String>::new());
}

/// A server that reads its certificate when it starts.
fn serves_tls(id: &ResourceId) -> bool {
    id.kind().as_str() == "StatefulSet.apps"
}

fn plural(id: &ResourceId) -> String {
    format!("/{}s/", id.kind().short().to_lowercase())
}
