//! What kept data cannot be without stays with it, and goes with it.

use super::{ENVIRONMENTS, LAG, example, request, set, stage_of};
use crate::stage::{everything, nothing};
use libtest_mimic::Trial;
use platform_core::engine::{Action, PlanRequest};
use platform_core::value::{FieldPath, Kind, Reference, ResourceId};
use platform_core::{Field, Holds, OnRemoval, Owner, Resource};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("cloud::kept_kinds_tell_what_they_name", kept_kinds_tell_what_they_name),
        crate::trial("cloud::kept_data_keeps_what_it_needs", kept_data_keeps_what_it_needs),
    ]
}

/// Pairs of kinds of which the first can be without the second, though it is made after it.
const NOT_NEEDED: [(&str, &str); 3] = [
    // a rule whose peer is gone lets nobody in
    ("ec2.SecurityGroup", "eks.Cluster"),
    // EKS makes the group again where it has to write
    ("eks.Cluster", "logs.LogGroup"),
    // a right to use what is gone gives nothing
    ("iam.Role", "kms.Key"),
];

/// Every reference in a wish, with where it stands.
fn referred(value: &Value, path: &FieldPath, each: &mut dyn FnMut(&FieldPath, Reference)) {
    match value {
        Value::Object(map) => match Reference::of_value(value) {
            Some(reference) => each(path, reference),
            None => map
                .iter()
                .for_each(|(key, inner)| referred(inner, &path.key(key), each)),
        },
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                referred(inner, &path.index(at), each);
            }
        }
        _ => {}
    }
}

/// The facts of every kind that may be kept, and of every kind that one of those needs, tell which fields name what.
fn kept_kinds_tell_what_they_name() {
    let wanted: Vec<Resource> = ENVIRONMENTS
        .iter()
        .flat_map(|name| request(&example(name)).resources)
        .collect();
    let mut missing = BTreeSet::new();
    let mut kept: BTreeSet<&Kind> = wanted
        .iter()
        .filter(|one| {
            let facts = provider_aws_network::facts(one.id.kind());
            let holds = one.holds.or(facts.map(|facts| facts.holds));
            holds.is_some_and(|holds| holds != Holds::Nothing) || one.id.kind().as_str() == "eks.Cluster"
        })
        .map(|one| one.id.kind())
        .collect();
    let mut before = 0;
    while before < kept.len() {
        before = kept.len();
        let known = kept.clone();
        for one in wanted.iter().filter(|one| known.contains(one.id.kind())) {
            let Some(facts) = provider_aws_network::facts(one.id.kind()) else {
                continue;
            };
            let named: BTreeSet<&str> = facts.fields.iter().filter_map(|field| field.names).collect();
            let plain = |field: &Field| field.names.is_none() || !field.path.contains('*');
            assert!(facts.fields.iter().all(plain), "{}", facts.kind);
            for need in one.dependencies() {
                let pair = (one.id.kind().as_str(), need.kind().as_str());
                if NOT_NEEDED.contains(&pair) {
                    continue;
                }
                if !named.contains(pair.1) {
                    missing.insert(format!("{} names {}", pair.0, pair.1));
                }
                kept.extend(
                    wanted
                        .iter()
                        .map(|other| other.id.kind())
                        .find(|other| *other == need.kind()),
                );
            }
            referred(&one.desired, &FieldPath::root(), &mut |path, reference| {
                let kind = reference.id.kind().as_str();
                let told = |field: &Field| field.names == Some(kind) && path.is_within(&FieldPath::from(field.path));
                if !NOT_NEEDED.contains(&(one.id.kind().as_str(), kind)) && !facts.fields.iter().any(told) {
                    missing.insert(format!("{} {path} names {kind}", one.id.kind()));
                }
            });
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Destroyed without approvals, whatever is left finds all that it was made with. With them, all of it goes in one run.
fn kept_data_keeps_what_it_needs() {
    for environment in ENVIRONMENTS {
        let stage = stage_of(environment);
        let wanted = request(&example(environment));
        stage.settle(&wanted, &nothing).unwrap();
        stage.clock.advance(LAG.window);
        let start = stage.snapshot();
        let gone = PlanRequest::destroy(set(environment));

        let plan = stage.plan(&gone).unwrap();
        let kept_for: BTreeMap<&ResourceId, _> = plan.steps.iter().map(|step| (&step.id, &step.kept_for)).collect();
        let left = stage.settle(&gone, &nothing).unwrap().left;
        assert!(left.iter().all(|live| live.owner == Owner::Retained), "{left:?}");
        let there: BTreeSet<&ResourceId> = left.iter().map(|live| &live.id).collect();
        // In a cluster what is made first only guards what comes after.
        let account = |id: &ResourceId| id.place().as_ref().starts_with("aws/");
        for one in wanted
            .resources
            .iter()
            .filter(|one| account(&one.id) && there.contains(&one.id))
        {
            let needs = one.dependencies().into_iter().filter(|need| !there.contains(need));
            let pair = |need: &ResourceId| NOT_NEEDED.contains(&(one.id.kind().as_str(), need.kind().as_str()));
            let lost: Vec<ResourceId> = needs.filter(|need| !pair(need)).collect();
            assert!(lost.is_empty(), "{} is left without {lost:?}", one.id);
        }
        for live in &left {
            let step = plan.step(&live.id).unwrap();
            // by its stamp, or protected
            let asked = live.on_removal == OnRemoval::Retain || !step.warnings.is_empty();
            assert!(
                asked || step.deletable || !kept_for[&live.id].is_empty(),
                "{} is kept for nothing",
                live.id
            );
        }
        stage.clock.advance(LAG.window);
        let again = stage.plan(&gone).unwrap();
        assert!(again.is_empty(), "{}", again.display());

        let stage = stage_of(environment).restored(&start);
        let plan = stage.plan(&gone).unwrap();
        assert!(
            plan.steps
                .iter()
                .any(|step| step.action == Action::Release && !step.kept_for.is_empty())
        );
        let report = stage.apply(&plan, &everything(&plan)).unwrap();
        assert!(report.is_success(), "{:?}", report.outcomes);
        let left: Vec<&ResourceId> = report.left.iter().map(|live| &live.id).collect();
        // What is protected stays with what it needs, whatever is approved.
        let protected = |id: &&ResourceId| ["rds.DbInstance", "eks.Cluster"].contains(&id.kind().as_str());
        match environment {
            "dev" => assert!(left.is_empty(), "{left:?}"),
            _ => assert_eq!(left.iter().copied().filter(protected).count(), 2, "{left:?}"),
        }
    }
}
