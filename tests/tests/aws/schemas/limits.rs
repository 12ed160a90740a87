//! Limits of fields, held against botocore's models: calls as they went out, members with limits, and values beyond them.

use super::reasons::{BESIDE_LIMITS, LEFT_OUT};
use super::{cases, composite, described, preview};
use crate::between::{over, signed_for};
use crate::emulators::Account;
use crate::kinds::{self, Case};
use crate::platform::{apply, apply_with, everything, plan};
use crate::policies::KINDS;
use crate::values::Vault;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use provider_aws::AwsProvider;
use provider_aws::kind::{Limit, limits};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Every request that changes something, as it went out.
#[derive(Clone, Debug, Default)]
struct Wire(Arc<Mutex<Vec<Value>>>);

impl Wire {
    fn around(&self, account: &Account) -> AwsProvider {
        let noted = self.clone();
        let config = over(&account.config(), move |wire, request| {
            noted.note(&request);
            wire.call(request)
        });
        AwsProvider::from_config(&config, Arc::clone(&account.clock))
            .unwrap()
            .with_kinds(provider_aws_network::kinds())
            .with_secrets(Arc::new(Vault::default()))
    }

    fn note(&self, request: &HttpRequest) {
        let Some((_, service)) = signed_for(request) else {
            return;
        };
        let service = if service == "monitoring" { "cloudwatch" } else { service };
        let path = request.uri().split_once("//").unwrap().1;
        let path = path.split_once('/').map_or("", |(_, path)| path);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let is_of_the_lease = service == "s3" && path.starts_with("mlplat-");
        if ["GET", "HEAD"].contains(&request.method()) || service == "sts" || is_of_the_lease {
            return;
        }
        let body = request.body().bytes().and_then(|bytes| std::str::from_utf8(bytes).ok());
        self.0.lock().unwrap().push(json!({
            "service": service, "method": request.method(), "path": format!("/{path}"), "query": query,
            "target": request.headers().get("x-amz-target").unwrap_or_default(), "body": body.unwrap_or_default(),
        }));
    }
}

/// Every required member is sent, and every member that has a limit in AWS's models has it here, or a reason.
#[tokio::test(flavor = "multi_thread")]
async fn limits_are_those_of_the_models() {
    let wire = Wire::default();
    let account = Account::new().with_speed(20);
    let engine = account.engine_of(wire.around(&account), "a");
    let cases = cases(&account);
    let mut request = kinds::request_of(&account, &cases);
    apply(&engine, &plan(&engine, &request).await).await;
    for (at, case) in cases.iter().enumerate() {
        request.resources[at] = case.resource(&case.second);
    }
    let change = plan(&engine, &request).await;
    apply_with(&engine, &change, &everything(&change)).await;
    let calls = wire.0.lock().unwrap().clone();

    let kinds: Vec<_> = KINDS.iter().map(|(kind, ..)| kind.parse().unwrap()).collect();
    let ours: Vec<&Limit> = kinds.iter().flat_map(limits).collect();
    let told = described(
        &BTreeSet::new(),
        &calls,
        &ours.iter().map(|limit| limit.shape).collect(),
    );
    assert_eq!(told["missing"], json!([]), "required members that were not sent");
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for limit in &ours {
        let shape = &told["shapes"][limit.shape];
        let size = |key: &str, otherwise: usize| {
            shape[key]
                .as_u64()
                .map_or(otherwise, |size| usize::try_from(size).unwrap())
        };
        let is_number = shape["type"] == "integer";
        let range = is_number.then(|| {
            (
                shape["min"].as_i64().unwrap(),
                shape["max"].as_i64().unwrap_or(i64::MAX),
            )
        });
        let lengths = if is_number {
            (0, usize::MAX)
        } else {
            (size("min", 0), size("max", usize::MAX))
        };
        let bare = |pattern: &str| pattern.trim_start_matches('^').trim_end_matches('$').to_owned();
        let patterns = (limit.pattern.map(bare), shape["pattern"].as_str().map(bare));
        if limit.range != range || (limit.least, limit.most) != lengths || patterns.0 != patterns.1 {
            wrong.push(format!("{} is no {} {shape}: {limit:?}", limit.path, limit.shape));
        }
        let known: BTreeSet<&str> = shape["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|word| word.as_str().unwrap())
            .collect();
        let words: BTreeSet<&str> = limit.words.iter().copied().collect();
        let left_out = LEFT_OUT
            .iter()
            .filter(|(shape, ..)| *shape == limit.shape)
            .map(|(_, word, _)| *word);
        let words: BTreeSet<&str> = words.into_iter().chain(left_out).collect();
        if words != known {
            wrong.push(format!("{}: {} has {known:?}", limit.path, limit.shape));
        }
    }
    let sent: BTreeMap<String, Vec<String>> =
        told["sent"]
            .as_array()
            .unwrap()
            .iter()
            .fold(BTreeMap::new(), |mut all, sent| {
                let text = |at: usize| sent[at].as_str().unwrap().to_owned();
                let members: &mut Vec<String> = all.entry(format!("{}:{}", text(0), text(3))).or_default();
                members.push(format!("{} {}: {}", text(1), text(2), sent[4]));
                all
            });
    for (shape, members) in &sent {
        let reason = BESIDE_LIMITS.iter().find(|(of, _)| of.contains(&shape.as_str()));
        match (ours.iter().any(|limit| limit.shape == shape), reason) {
            (true, None) => {}
            (true, Some(_)) => wrong.push(format!("{shape} has a limit and a reason for none")),
            (false, Some(_)) => drop(used.insert(shape.as_str())),
            (false, None) => wrong.push(format!("{shape} has no limit here and no reason: {members:?}")),
        }
    }
    let told = BESIDE_LIMITS.iter().flat_map(|(shapes, _)| *shapes);
    wrong.extend(
        told.filter(|shape| !used.contains(*shape))
            .map(|shape| format!("{shape} is never sent")),
    );
    println!(
        "{} calls, {} shapes with limits, {} limits of ours",
        calls.len(),
        sent.len(),
        ours.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Changes the first value that a limit is about.
fn spoil(value: &mut Value, steps: &[&str], by: &dyn Fn(&Value) -> Value) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        *value = by(value);
        return true;
    };
    match (*step, value) {
        ("{}", Value::Object(entries)) => {
            let Some(key) = entries.keys().next().cloned() else {
                return false;
            };
            let entry = entries.remove(&key).unwrap();
            entries.insert(by(&json!(key)).as_str().unwrap().to_owned(), entry);
            true
        }
        ("*", Value::Object(entries)) => entries.values_mut().any(|entry| spoil(entry, rest, by)),
        ("*", Value::Array(items)) => items.iter_mut().any(|item| spoil(item, rest, by)),
        (key, Value::Object(entries)) => entries.get_mut(key).is_some_and(|entry| spoil(entry, rest, by)),
        _ => false,
    }
}

/// A value with this many characters or entries.
fn sized(value: &Value, size: usize) -> Value {
    match value {
        Value::String(_) => json!("a".repeat(size)),
        Value::Array(_) => (0..size).map(|at| json!(format!("arn:{at}"))).collect(),
        Value::Object(entries) => {
            let entry = entries.values().next().cloned().unwrap_or_default();
            (0..size)
                .map(|at| (format!("k{at}"), entry.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        other => panic!("{other} has no size"),
    }
}

/// What makes a value one that a limit does not take.
type Spoiler = Box<dyn Fn(&Value) -> Value>;

/// All that a limit does not take.
fn beyond(limit: &Limit) -> Vec<Spoiler> {
    let mut wrong: Vec<Spoiler> = Vec::new();
    if limit.least > 0 {
        let size = limit.least - 1;
        wrong.push(Box::new(move |value| sized(value, size)));
    }
    if limit.most < usize::MAX {
        let size = limit.most + 1;
        wrong.push(Box::new(move |value| sized(value, size)));
    }
    if let Some((least, most)) = limit.range {
        for number in [least.checked_sub(1), most.checked_add(1)].into_iter().flatten() {
            wrong.push(Box::new(move |_| json!(number)));
        }
    }
    if !limit.words.is_empty() {
        wrong.push(Box::new(|_| json!("neither of them")));
    }
    if limit.pattern.is_some() {
        // What one pattern takes another does not; the last takes in what almost none does.
        let text = match limit.pattern {
            Some(r".*\S.*") => "  ",
            Some("[^:].*") => ":x",
            _ => ":*$ \u{20ac}",
        };
        wrong.push(Box::new(move |_| json!(text)));
    }
    wrong
}

/// What AWS would refuse is refused before any call, and the field is named.
#[test]
fn what_is_beyond_a_limit_is_refused_before_any_call() {
    let account = Account::new();
    let provider = account.provider();
    let mut cases = cases(&account);
    cases.push(composite(&account));
    let (mut tried, mut wrong) = (0, Vec::new());
    for (kind, ..) in KINDS {
        for limit in limits(&kind.parse().unwrap()) {
            let steps: Vec<&str> = limit.path.split('.').collect();
            let field = steps.iter().rfind(|step| !["*", "{}"].contains(*step)).unwrap();
            let mut found = false;
            let full = |case: &Case| [&case.first, &case.second].map(|wish| preview(&provider, case, wish).unwrap());
            let of_kind = cases.iter().filter(|case| case.id.kind().as_str() == *kind);
            for (case, wish) in of_kind.flat_map(|case| full(case).map(|wish| (case, wish))) {
                for by in beyond(limit) {
                    let mut spoilt = wish.clone();
                    if !spoil(&mut spoilt, &steps, &*by) {
                        break;
                    }
                    (found, tried) = (true, tried + 1);
                    match preview(&provider, case, &spoilt) {
                        Err(why) if why.contains(field) => {}
                        Err(why) => wrong.push(format!("{kind} {}: the field is not named: {why}", limit.path)),
                        Ok(_) => wrong.push(format!("{kind} {}: taken: {spoilt}", limit.path)),
                    }
                }
            }
            if !found {
                wrong.push(format!("{kind} {}: no sample has it", limit.path));
            }
        }
        // Tags and names are checked for all kinds at once.
        if let Some(case) = cases.iter().find(|case| case.id.kind().as_str() == *kind) {
            let tag = |key: &str, value: &str| {
                preview(&provider, case, &{
                    let mut wish = case.first.clone();
                    wish["tags"] = json!({ key: value });
                    wish
                })
            };
            for (key, value) in [
                (&*"k".repeat(129), "v"),
                ("k", &*"v".repeat(257)),
                ("", "v"),
                ("k", "\u{20ac}"),
                ("aws:k", "v"),
            ] {
                if tag(key, value).is_ok() {
                    wrong.push(format!("{kind}: the tag {key}={value} is taken"));
                }
            }
            let long = format!(
                "{}{}",
                case.id,
                "x".repeat(provider_aws_network::facts(case.id.kind()).unwrap().name.max)
            );
            let long = Case {
                id: long.parse().unwrap(),
                first: case.first.clone(),
                second: Value::Null,
                after: Vec::new(),
                changes: &[],
                risks: &[],
            };
            if preview(&provider, &long, &long.first).is_ok() {
                wrong.push(format!("{} is taken", long.id));
            }
        }
    }
    println!("{tried} values beyond limits");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
