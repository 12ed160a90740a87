//! A change goes from staging to prod: the plans of both do the same, or what only prod's does is named.

use super::{example, request, set, stage_of, stage_with};
use crate::stage::{LAG, Stage, everything, nothing};
use composition::config::PlatformConfig;
use libtest_mimic::Trial;
use platform_core::Risk;
use platform_core::engine::{Comparison, Deviation, Plan, PlanRequest, Sort};
use platform_core::value::SetId;
use serde_json::{Value, json};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "cloud::the_same_change_is_the_same_in_prod",
            the_same_change_is_the_same_in_prod,
        ),
        crate::trial("cloud::what_only_prod_does_is_named", what_only_prod_does_is_named),
    ]
}

/// Keys of blocks with what is said in them.
type Edits<'a> = &'a [(&'a str, Value)];

fn config(environment: &str, edits: Edits<'_>) -> PlatformConfig {
    let mut text = example(environment).to_json();
    for (key, value) in edits {
        text[*key]
            .as_object_mut()
            .unwrap()
            .extend(value.as_object().unwrap().clone());
    }
    PlatformConfig::parse(&text.to_string(), &format!("{environment}.yaml")).unwrap()
}

/// The environment as it stands by its example.
fn standing(environment: &str) -> Stage {
    let stage = stage_of(environment);
    stage.settle(&request(&config(environment, &[])), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    stage
}

/// The plan of a change, through its file as between two pipelines.
fn changed(stage: &Stage, environment: &str, edits: Edits<'_>) -> Plan {
    let plan = stage.plan(&request(&config(environment, edits))).unwrap();
    assert!(!plan.is_empty());
    Plan::from_json(&plan.to_json().unwrap()).unwrap()
}

fn told(comparison: &Comparison, sort: Sort) -> Vec<String> {
    let of_sort = comparison.deviations.iter().filter(|one| one.sort == sort);
    let text = |one: &Deviation| {
        let object = one.object.rsplit(':').next().unwrap();
        let what = one.what.as_ref().map_or(String::new(), |what| format!(" {what}"));
        format!("{} {object}{what}", one.word)
    };
    of_sort.map(text).collect()
}

/// Values, names, accounts, ids and sizes differ; what is done does not. So it is with all of a platform's first apply, but for
/// what only one of them asks for.
fn the_same_change_is_the_same_in_prod() {
    let change = |storage: &str, class: &str, types: &str| {
        [
            (
                "database",
                json!({"storage": storage, "instance_class": class, "max_connections": 300}),
            ),
            ("cache", json!({"version": "9", "replicas": 2})),
            (
                "storage",
                json!({"buckets": [
                    {"name": "datasets", "versioning": true, "expire_noncurrent": "30d"},
                    {"name": "models", "versioning": true, "expire_noncurrent": "90d"},
                    {"name": "features", "versioning": true},
                ]}),
            ),
            (
                "aws",
                json!({"cluster": {"create": {
                    "admins": [format!("arn:aws:iam::{types}:role/platform-admin")],
                    "nodes": {"default": {"instance_types": ["m7i.2xlarge"]}},
                }}}),
            ),
        ]
    };
    let (staging, prod) = (standing("staging"), standing("prod"));
    let before = changed(&staging, "staging", &change("80Gi", "db.m7g.xlarge", "222222222222"));
    staging.apply(&before, &everything(&before)).unwrap();
    let here = changed(&prod, "prod", &change("900Gi", "db.m7g.4xlarge", "333333333333"));
    assert_ne!(before.digest(), here.digest());

    let comparison = here.promotion().compare(&before.promotion());
    assert!(comparison.is_same(), "{}", comparison.display());
    assert_eq!(here.promotion().digest(), before.promotion().digest());
    let sizes = told(&comparison, Sort::Size);
    for size in [
        "grow rds.DbInstance/<platform> storage_gib",
        "grow rds.DbInstance/<platform> class",
    ] {
        assert!(sizes.iter().any(|told| told == size), "{size}: {sizes:?}");
    }
    let text = comparison.display().to_string();
    assert!(
        text.contains("the same effects as the plan of ml-platform-staging-"),
        "{text}"
    );
    assert!(text.contains("100 -> 900, there 50 -> 80"), "{text}");
    for word in ["222222222222", "333333333333", "subnet-3a"] {
        assert!(
            !serde_json::to_string(&here.promotion())
                .unwrap()
                .contains(&format!("\"{word}")),
            "{word}"
        );
    }

    // A name that only prod gives, as of a server that Terraform made there, is no difference.
    let named = |edits: &[(&str, Value)]| {
        let mut text = config("prod", edits).to_json();
        text["names"] = json!({"ml-platform-prod": "orders"});
        request(&PlatformConfig::parse(&text.to_string(), "prod.yaml").unwrap())
    };
    let stage = stage_with(set("prod"), "orders");
    stage.settle(&named(&[]), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    let plan = stage
        .plan(&named(&change("900Gi", "db.m7g.4xlarge", "333333333333")))
        .unwrap();
    let comparison = plan.promotion().compare(&before.promotion());
    assert!(comparison.is_same(), "{}", comparison.display());

    // Everything from nothing: the one thing that only prod has is the copies of its backups.
    let plans = ["staging", "prod"].map(|one| stage_of(one).plan(&request(&config(one, &[]))).unwrap().promotion());
    let comparison = plans[1].compare(&plans[0]);
    let mut extras = comparison.deviations.iter().filter(|one| one.sort == Sort::Extra);
    assert!(
        extras.all(|one| one.object.contains("<second region>")),
        "{}",
        comparison.display()
    );
    let differs = told(&comparison, Sort::Differs);
    assert!(
        differs.len() == 2 && differs[0].contains("copies") && differs[1].ends_with("lock"),
        "{}",
        comparison.display()
    );
    assert!(told(&comparison, Sort::Missing).is_empty(), "{}", comparison.display());
    assert_eq!(told(&plans[1].compare(&plans[1]), Sort::Size), Vec::<String>::new());
}

/// Drift, another version, a risk, a delete and what prod has still to do: each named, with what it asks for.
fn what_only_prod_does_is_named() {
    let (staging, prod) = (standing("staging"), standing("prod"));
    let before = changed(&staging, "staging", &[("cache", json!({"replicas": 2}))]).promotion();
    let buckets = json!({"buckets": [{"name": "datasets", "versioning": true, "expire_noncurrent": "30d"}]});
    let nodes = json!({"cluster": {"create": {"admins": ["arn:aws:iam::333333333333:role/platform-admin"],
        "nodes": {"default": {"disk": "80Gi"}}}}});
    let cases: [(Edits<'_>, Sort, &str, Option<Risk>); 5] = [
        (
            &[("cache", json!({"replicas": 2})), ("storage", buckets)],
            Sort::Extra,
            "keep s3.Bucket/<platform>-models",
            Some(Risk::DestroysData),
        ),
        (
            &[("cache", json!({"replicas": 2})), ("aws", nodes)],
            Sort::Extra,
            "create eks.Nodegroup/<platform>/default-<id>",
            None,
        ),
        (
            &[
                ("cache", json!({"replicas": 2})),
                ("database", json!({"multi_az": false})),
            ],
            Sort::Extra,
            "update rds.DbInstance/<platform>",
            Some(Risk::LowersProtection),
        ),
        (
            &[("cache", json!({"replicas": 2, "version": "9"}))],
            Sort::Extra,
            "grow elasticache.ReplicationGroup/<platform> version",
            None,
        ),
        (
            &[("database", json!({"max_connections": 300}))],
            Sort::Missing,
            "update elasticache.ReplicationGroup/<platform>",
            None,
        ),
    ];
    for (edits, sort, expected, asks) in cases {
        let comparison = changed(&prod, "prod", edits).promotion().compare(&before);
        let found = told(&comparison, sort);
        assert!(
            found.iter().any(|one| one.starts_with(expected)),
            "{expected}: {found:?}\n{}",
            comparison.display()
        );
        assert!(!comparison.is_same());
        let all: Vec<_> = comparison.deviations.iter().flat_map(|one| &one.asks).collect();
        assert!(asks.is_none_or(|risk| all.contains(&&risk)), "{}", comparison.display());
        let text = comparison.display().to_string();
        assert!(
            asks.is_none_or(|risk| text.contains(&format!("needs approval: {risk}"))),
            "{text}"
        );
    }
    // Another value of what is no size, of the same change.
    let of = |stage: &Stage, environment, version: &str| {
        changed(stage, environment, &[("cache", json!({"version": version}))]).promotion()
    };
    let comparison = of(&prod, "prod", "9").compare(&of(&staging, "staging", "9"));
    assert!(comparison.is_same(), "{}", comparison.display());
    let gone = |environment| {
        let set: SetId = set(environment);
        PlanRequest::destroy(set).with_words(request(&example(environment)).words)
    };
    let comparison = prod.plan(&gone("prod")).unwrap().promotion();
    let comparison = comparison.compare(&staging.plan(&gone("staging")).unwrap().promotion());
    for extra in comparison.extras() {
        assert!(extra.object.contains("second"), "{}", comparison.display());
    }
}
