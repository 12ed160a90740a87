//! Rights of people: where they lie, whom they are for, and what no rule of theirs says.

use platform_core::{ErrorKind, PeopleSpec, Resource, Subjects};
use platform_tests::manifests::{Wanted, resources};
use serde_json::json;
use std::collections::BTreeSet;

fn named<'a>(resources: &'a [Resource], kind: &str, name: &str) -> Vec<&'a Resource> {
    resources
        .iter()
        .filter(|one| one.id.kind().short() == kind && one.id.name().base() == name)
        .collect()
}

#[test]
fn people_have_their_rights_in_every_namespace_and_nowhere_else() {
    let resources = resources(&Wanted::strict()).unwrap();
    let namespaces: BTreeSet<&str> = resources
        .iter()
        .filter(|one| one.id.kind().short() == "Namespace")
        .map(|one| one.id.name().base())
        .collect();
    assert!(
        namespaces.contains("two-training") && namespaces.len() >= 8,
        "{namespaces:?}"
    );
    for (name, subjects) in [
        (
            "platform-viewer",
            json!([
                { "kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "ml-team" },
                { "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann@example.com" },
            ]),
        ),
        (
            "platform-operator",
            json!([{ "kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "ml-oncall" }]),
        ),
    ] {
        for kind in ["Role", "RoleBinding"] {
            let found: BTreeSet<&str> = named(&resources, kind, name)
                .iter()
                .filter_map(|one| one.id.name().namespace())
                .collect();
            assert_eq!(found, namespaces, "{kind} {name}");
        }
        for binding in named(&resources, "RoleBinding", name) {
            assert_eq!(binding.desired["subjects"], subjects);
            assert_eq!(binding.desired["roleRef"]["name"], name);
        }
    }
    let of_people =
        |one: &&Resource| one.id.kind().short() == "ClusterRoleBinding" && one.desired.to_string().contains("ml-team");
    assert_eq!(resources.iter().filter(of_people).count(), 0);
}

/// Nothing opens a Secret, a shell or a wildcard, whichever way a rule spells it; a viewer changes nothing.
#[test]
fn no_rule_of_people_opens_a_secret_or_a_shell() {
    let resources = resources(&Wanted::strict()).unwrap();
    for (name, reads_only) in [("platform-viewer", true), ("platform-operator", false)] {
        let rules = &named(&resources, "Role", name)[0].desired["rules"];
        let mut verbs = BTreeSet::new();
        for rule in rules.as_array().unwrap() {
            let words = |key: &str| -> Vec<&str> {
                rule[key]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(|one| one.as_str())
                    .collect()
            };
            for resource in words("resources") {
                for closed in [
                    "secrets",
                    "exec",
                    "attach",
                    "proxy",
                    "ephemeralcontainers",
                    "token",
                    "downloadrequests",
                    "*",
                ] {
                    assert!(!resource.contains(closed), "{name} opens {resource}");
                }
                for verb in words("verbs") {
                    verbs.insert((verb.to_owned(), resource.to_owned()));
                }
            }
        }
        let writes: Vec<String> = verbs
            .iter()
            .filter(|(verb, resource)| !["get", "list", "watch"].contains(&verb.as_str()) || resource.contains('/'))
            .map(|(verb, resource)| format!("{verb} {resource}"))
            .collect();
        let operator = [
            "create pods/eviction",
            "create pods/portforward",
            "delete pods",
            "get pods/log",
            "get pods/portforward",
        ];
        assert_eq!(writes, if reads_only { &[][..] } else { &operator[..] });
    }
}

#[test]
fn nobody_has_no_role() {
    let mut wanted = Wanted::strict();
    wanted.context.security.people = PeopleSpec::default();
    let without = resources(&wanted).unwrap();
    assert!(named(&without, "Role", "platform-viewer").is_empty());
    wanted.context.security.people.operators = Subjects::default().with_user("bob");
    let operated = resources(&wanted).unwrap();
    assert!(named(&operated, "Role", "platform-viewer").is_empty());
    assert!(!named(&operated, "Role", "platform-operator").is_empty());
}

#[test]
fn rights_for_the_cluster_itself_are_refused() {
    let group = |name: &str| Subjects::default().with_group(name);
    for (people, message) in [
        (
            PeopleSpec::default().with_viewers(group("system:authenticated")),
            "the group \"system:authenticated\" is one of the cluster's own, not of people",
        ),
        (
            PeopleSpec::default().with_operators(Subjects::default().with_user("*")),
            "the user \"*\" is no pattern: it would mean somebody of just that name",
        ),
        (
            PeopleSpec::default().with_viewers(group(" ml-team")),
            "the group \" ml-team\" is nobody's name",
        ),
        (
            PeopleSpec::default()
                .with_viewers(group("ml-team"))
                .with_operators(group("ml-team")),
            "the group \"ml-team\" is viewer and operator",
        ),
    ] {
        let mut wanted = Wanted::strict();
        wanted.context.security.people = people;
        let error = resources(&wanted).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, message));
        assert!(error.help().is_some());
    }
}
