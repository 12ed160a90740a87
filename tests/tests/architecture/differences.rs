//! What each provider offers, as docs/differences.md shows it: written from the features and facts that the code goes by.

use super::{read, root};
use platform_core::testing::{ManualClock, World};
use platform_core::value::{Kind, Place};
use platform_core::{Capability, Creation, FieldChange, Holds, KindFacts, ProviderFeatures, Stack};
use provider_aws::Aws;
use provider_k8s::Kubernetes;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;

const FILE: &str = "docs/differences.md";

fn stacks() -> [Box<dyn Stack>; 2] {
    let clock = Arc::new(ManualClock::new());
    let world = |place: &str| {
        let place: Place = place.parse().unwrap();
        Arc::new(World::new(place, |_| None, Arc::<ManualClock>::clone(&clock)))
    };
    [
        Box::new(Kubernetes::on(world("k8s/main"), Arc::<ManualClock>::clone(&clock))),
        Box::new(Aws::on(world("aws/eu-west-1"), Arc::<ManualClock>::clone(&clock))),
    ]
}

/// Each field of a struct with what its documentation says, in the order of the source.
fn documented(file: &str, name: &str) -> Vec<(String, String)> {
    let text = read(file);
    let body = text.split_once(&format!("pub struct {name} {{")).unwrap().1;
    let body = body.split_once("\n}").unwrap().0;
    let (mut said, mut fields) = (String::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            said.push_str(doc);
        } else if let Some(field) = line.strip_prefix("pub ") {
            let said = std::mem::take(&mut said);
            let said = said.trim().trim_end_matches('.').replace(['[', ']'], "");
            fields.push((field.split_once(':').unwrap().0.to_owned(), said));
        }
    }
    fields
}

/// The value of a field as people write it.
fn value(features: &str, fields: &[(String, String)], at: usize) -> String {
    let after = features.split_once(&format!("{}: ", fields[at].0)).unwrap().1;
    let end = fields
        .get(at + 1)
        .map_or(" }".to_owned(), |(next, _)| format!(", {next}: "));
    let value = after.split_once(&end).unwrap().0;
    match value {
        "true" => "yes".to_owned(),
        "false" => "no".to_owned(),
        "[]" => "none".to_owned(),
        list => list.replace(['[', ']', '"'], ""),
    }
}

/// A table of features, of which a provider may have none.
fn matrix(out: &mut String, file: &str, name: &str, features: &[Option<String>; 2]) {
    out.push_str("\n| | Kubernetes | AWS |\n|---|---|---|\n");
    let fields = documented(file, name);
    assert!(!fields.is_empty(), "{name}");
    for (at, (_, said)) in fields.iter().enumerate() {
        let shown = features.each_ref().map(|features| {
            let has_none = || "not there".to_owned();
            features
                .as_ref()
                .map_or_else(has_none, |features| value(features, &fields, at))
        });
        let [kubernetes, aws] = shown;
        writeln!(out, "| {said} | {kubernetes} | {aws} |").unwrap();
    }
}

fn shown<F: Debug>(features: F) -> String {
    format!("{features:?}")
}

fn of(stack: &dyn Stack, capability: Capability) -> Option<String> {
    match capability {
        Capability::Database => stack.database().map(|it| shown(it.features())),
        Capability::Cache => stack.cache().map(|it| shown(it.features())),
        Capability::Storage => stack.storage().map(|it| shown(it.features())),
        Capability::Monitoring => stack.monitoring().map(|it| shown(it.features())),
        Capability::Security => stack.security().map(|it| shown(it.features())),
        Capability::Backup => stack.backup().map(|it| shown(it.features())),
    }
}

/// The kinds of a crate: the texts in its sources that there are facts of.
fn kinds(folder: &str, facts: fn(&Kind) -> Option<&'static KindFacts>) -> Vec<&'static KindFacts> {
    fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(text.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let mut names = Vec::new();
    walk(&root().join(folder), &mut names);
    names.sort();
    names.dedup();
    let known = names.iter().filter_map(|name| facts(&name.parse().ok()?));
    known.collect()
}

fn table_of_kinds(out: &mut String, kinds: &[&KindFacts]) {
    out.push_str(
        "\n| kind | holds | a second create | never changes | only in a new object |\n|---|---|---|---|---|\n",
    );
    for facts in kinds {
        let holds = match facts.holds {
            Holds::Nothing => "nothing",
            Holds::Rebuildable => "what can be made again",
            Holds::Durable => "data",
        };
        let create = match facts.create {
            Creation::Exclusive => "fails: the name is taken",
            Creation::Token => "gives the same by its token",
            Creation::Upsert => "overwrites, so it is looked at first",
            Creation::Unguarded => "would make another, so it is recorded first",
        };
        let fields = |changes: &[FieldChange]| {
            let fields = facts.fields.iter().filter(|field| changes.contains(&field.change));
            let fields: Vec<String> = fields.map(|field| format!("`{}`", field.path)).collect();
            fields.join(", ")
        };
        writeln!(
            out,
            "| `{}` | {holds} | {create} | {} | {} |",
            facts.kind,
            fields(&[FieldChange::Never]),
            fields(&[FieldChange::Replace, FieldChange::NewName]),
        )
        .unwrap();
    }
}

fn document() -> String {
    let stacks = stacks();
    let mut out = String::from(
        "# Differences\n\n\
         What each provider offers, and what its objects take. Written by `cargo xtask docs` from the features and facts that the\n\
         code goes by: a wish for what is not there is refused before any call, with its line in the config.\n",
    );
    for capability in Capability::ALL {
        let name = capability.as_str();
        let title = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        write!(out, "\n## {title}\n").unwrap();
        let features = stacks.each_ref().map(|stack| of(&**stack, capability));
        matrix(
            &mut out,
            &format!("platform-core/src/{name}.rs"),
            &format!("{title}Features"),
            &features,
        );
    }
    out.push_str("\n## Plan and apply\n");
    let places: [ProviderFeatures; 2] = [provider_k8s::features(), provider_aws::features()];
    matrix(
        &mut out,
        "platform-core/src/provider.rs",
        "ProviderFeatures",
        &places.map(|features| Some(shown(features))),
    );
    out.push_str("\n## Kinds on Kubernetes\n");
    table_of_kinds(&mut out, &kinds("provider-k8s/src/kind", provider_k8s::facts));
    out.push_str("\n## Kinds on AWS\n");
    let mut on_aws = kinds("provider-aws/src/kind", provider_aws::facts);
    on_aws.extend(kinds("provider-aws/network/src/kind", provider_aws_network::facts));
    on_aws.sort_by_key(|facts| facts.kind);
    table_of_kinds(&mut out, &on_aws);
    out
}

#[test]
fn the_committed_differences_are_the_current_ones() {
    let current = document();
    let path = root().join(FILE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "run `cargo xtask docs` and commit {FILE}");
    for known in ["`StatefulSet.apps`", "`rds.DbInstance`", "`ec2.Vpc`", "`eks.Nodegroup`"] {
        assert!(current.contains(known), "{known}");
    }
}
