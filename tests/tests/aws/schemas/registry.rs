//! Facts of kinds, held against the schemas of CloudFormation's registry: what each field is exported as, and what that says.

use super::reasons::{DEVIATIONS, OTHERS};
use super::{cases, composite, described, preview};
use crate::emulators::Account;
use crate::kinds::Case;
use crate::policies::KINDS;
use platform_core::{FieldChange, Resource};
use provider_aws::{AwsProvider, export};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// All properties of a resource.
const WHOLE: &str = "/properties";
/// No wish may hold anything but the default.
const NEVER: &str = "never wished";

/// Every field that a kind has, as it says itself about one that it does not know.
fn fields(provider: &AwsProvider, case: &Case) -> BTreeSet<String> {
    let mut wish = case.first.clone();
    wish["no such field"] = json!(1);
    let told = preview(provider, case, &wish).unwrap_err();
    let told = told.split_once("expected").map_or("", |(_, known)| known);
    told.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The wish with one field in another way: as the second wish has it, as a table says, or the opposite.
fn otherwise(provider: &AwsProvider, case: &Case, field: &str) -> Result<Value, String> {
    let mut wish = case.first.clone();
    let kind = case.id.kind().as_str();
    let told = OTHERS.iter().find(|(of, name, _)| (*of, *name) == (kind, field));
    if let Some((.., patch)) = told {
        let patch: Value = serde_json::from_str(patch).unwrap();
        for (key, value) in patch.as_object().unwrap() {
            match value {
                Value::Null => drop(wish.as_object_mut().unwrap().remove(key)),
                value => wish[key] = value.clone(),
            }
        }
        return Ok(wish);
    }
    let full = preview(provider, case, &case.first).unwrap();
    let second = case.second.get(field).filter(|second| *second != &full[field]);
    wish[field] = match (second, &full[field]) {
        (Some(second), _) => second.clone(),
        (None, Value::Bool(on)) => json!(!on),
        (None, Value::String(text)) => json!(format!("{text}x")),
        (None, Value::Number(number)) => json!(number.as_i64().unwrap() + 1),
        (None, value) => return Err(format!("it is {value}")),
    };
    preview(provider, case, &wish).map(|_| wish)
}

/// `AWS::KMS::Key /properties/Description`: every property that two exports have in other ways.
fn differing(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> BTreeSet<(String, String)> {
    fn walk(at: &str, (a, b): (&Value, &Value), found: &mut BTreeSet<String>) {
        match (a, b) {
            (Value::Object(one), Value::Object(other))
                if !one.keys().chain(other.keys()).any(|key| key.contains("::")) =>
            {
                for key in one.keys().chain(other.keys()) {
                    walk(&format!("{at}/{key}"), (&a[key], &b[key]), found);
                }
            }
            _ if a != b => drop(found.insert(at.to_owned())),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for (region, template) in after {
        let (old, new) = (&before[region]["Resources"], &template["Resources"]);
        let names = old.as_object().unwrap().keys().chain(new.as_object().unwrap().keys());
        for name in names.collect::<BTreeSet<_>>() {
            let r#type = new[name]["Type"].as_str().or(old[name]["Type"].as_str()).unwrap();
            let mut paths = BTreeSet::new();
            walk(WHOLE, (&old[name]["Properties"], &new[name]["Properties"]), &mut paths);
            found.extend(paths.into_iter().map(|path| (r#type.to_owned(), path)));
        }
    }
    found
}

/// Whether a list of a schema has a property, or one above it; `with_parts`: or one below it.
fn lists(schema: &Value, list: &str, path: &str, with_parts: bool) -> bool {
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // What is made or taken away whole is no change of it.
    path != WHOLE
        && schema[list].as_array().unwrap().iter().any(|property| {
            let property = property.as_str().unwrap();
            within(path, property) || (with_parts && within(property, path))
        })
}

/// What each field of each kind is exported as, held against the schemas of CloudFormation's registry.
#[test]
fn facts_are_those_of_the_registry() {
    let account = Account::new();
    let provider = account.provider();
    let mut cases = cases(&account);
    cases.push(composite(&account));
    let export = |changed: Option<(usize, &Value)>| {
        let wish = |(at, case): (usize, &Case)| {
            case.resource(
                changed
                    .filter(|(of, _)| *of == at)
                    .map_or(&case.first, |(_, wish)| wish),
            )
        };
        let resources: Vec<Resource> = cases.iter().enumerate().map(wish).collect();
        export::cloudformation("123456789012", &resources).unwrap_or_else(|why| panic!("{}", why.report()))
    };
    let before = export(None);
    let mut mapped: BTreeMap<(String, String), BTreeSet<(String, String)>> = BTreeMap::new();
    let mut tagged: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    let (mut seen, mut unsaid) = (BTreeSet::new(), Vec::new());
    let mut found: BTreeSet<(String, &str)> = BTreeSet::new();
    let never = |kind: &str, field: &str| {
        let what = format!("{kind} {field}");
        DEVIATIONS.iter().any(|(of, how, _)| *of == what && *how == NEVER)
    };
    for (at, case) in cases.iter().enumerate() {
        let kind = case.id.kind().to_string();
        if !seen.insert(kind.clone()) {
            continue;
        }
        let known = fields(&provider, case);
        assert!(
            !known.is_empty()
                || case.first.as_object().is_some_and(serde_json::Map::is_empty)
                || kind == "ec2.ElasticIp",
            "{kind}"
        );
        for fact in provider_aws_network::facts(case.id.kind()).unwrap().fields {
            let root = fact.path.split(['.', '[']).next().unwrap();
            assert!(known.contains(root), "{kind} has no field {}", fact.path);
        }
        for field in known {
            let wish = match otherwise(&provider, case, &field) {
                Ok(wish) => wish,
                Err(_) if never(&kind, &field) => {
                    found.insert((format!("{kind} {field}"), NEVER));
                    continue;
                }
                Err(why) => {
                    unsaid.push(format!("{kind} {field}: {why}"));
                    continue;
                }
            };
            let changed = differing(&before, &export(Some((at, &wish))));
            mapped.insert((kind.clone(), field), changed);
        }
        let mut wish = case.first.clone();
        wish["tags"] = json!({ "another": "tag" });
        tagged.insert(kind, differing(&before, &export(Some((at, &wish)))));
    }
    let exported = KINDS
        .iter()
        .map(|(kind, ..)| *kind)
        .filter(|kind| !seen.contains(*kind));
    let none = ["backup.RecoveryPoint", "backup.RestoreJob", "backup.RestoreProof"];
    assert_eq!(exported.collect::<Vec<_>>(), none, "kinds that no sample is of");

    assert!(unsaid.is_empty(), "say in OTHERS how else they may be: {unsaid:#?}");
    let all = mapped.values().chain(tagged.values()).flatten();
    let types: BTreeSet<String> = all.map(|(r#type, _)| r#type.clone()).collect();
    let schemas = &described(&types, &[], &BTreeSet::new())["types"];
    for ((kind, field), properties) in &mapped {
        let facts = provider_aws_network::facts(&kind.parse().unwrap()).unwrap();
        let what = format!("{kind} {field}");
        let fact = facts.fields.iter().find(|fact| fact.path == field);
        let change = fact.map_or(FieldChange::InPlace, |fact| fact.change);
        let is_fixed = matches!(change, FieldChange::Never | FieldChange::Replace | FieldChange::NewName);
        let any = |list: &str, with_parts: bool| {
            let listed = |(r#type, path): &(String, String)| lists(&schemas[r#type], list, path, with_parts);
            properties.iter().any(listed)
        };
        match (properties.is_empty(), any("createOnlyProperties", true), is_fixed) {
            (true, ..) => drop(found.insert((what.clone(), "no property"))),
            (false, true, false) => drop(found.insert((what.clone(), "createOnly, ours changes"))),
            (false, false, true) => drop(found.insert((what.clone(), "changes, ours is fixed"))),
            _ => {}
        }
        if any("writeOnlyProperties", false) {
            found.insert((what.clone(), "writeOnly"));
        }
        if any("readOnlyProperties", false) {
            found.insert((what, "readOnly"));
        }
    }
    for (kind, properties) in &tagged {
        let fits = |(r#type, path): &(String, String)| {
            let tagging = &schemas[r#type]["tagging"];
            let updatable =
                tagging["taggable"] == true && tagging["tagUpdatable"] == true && tagging["tagOnCreate"] == true;
            updatable
                && tagging["tagProperty"]
                    .as_str()
                    .is_some_and(|property| path.starts_with(property))
        };
        if properties.is_empty() || !properties.iter().all(fits) {
            found.insert((format!("{kind} tags"), "tagging"));
        }
    }
    println!(
        "{} fields of {} kinds, {} deviations",
        mapped.len(),
        seen.len(),
        found.len()
    );
    let told: BTreeSet<(String, &str)> = DEVIATIONS
        .iter()
        .map(|(what, how, _)| ((*what).to_owned(), *how))
        .collect();
    let show = |(what, how): &(String, &str)| {
        let mapped = what
            .split_once(' ')
            .and_then(|(kind, field)| mapped.get(&(kind.to_owned(), field.to_owned())));
        format!("{what}: {how} {mapped:?}")
    };
    let without: Vec<String> = found.difference(&told).map(show).collect();
    let gone: Vec<_> = told.difference(&found).collect();
    assert!(
        without.is_empty() && gone.is_empty(),
        "without a reason: {without:#?}\nno more: {gone:#?}"
    );
    assert!(DEVIATIONS.iter().all(|(.., reason)| reason.len() > 20));
}
