//! The kinds of EC2, which live in a crate of their own.

use crate::emulators::Account;
use crate::kills::{Run, kill_everywhere};
use crate::kinds::{self, Case};
use crate::late::Late;
use crate::platform::{apply, plan};
use aws_sdk_ec2::types::Filter;
use platform_core::Risk;
use platform_core::engine::PlanRequest;
use platform_core::value::{Reference, ResourceId};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Their part of the table.
pub(crate) fn cases(id: &dyn Fn(&str, &str) -> ResourceId) -> Vec<Case> {
    let (vpc, address, gateway) = (
        id("ec2.Vpc", "vpc"),
        id("ec2.ElasticIp", "nat"),
        id("ec2.InternetGateway", "internet"),
    );
    let subnets = ["a", "b"].map(|zone| id("ec2.Subnet", zone));
    let group = id("ec2.SecurityGroup", "group");
    let of = |id: &ResourceId| Reference::new(id.clone(), "id").to_value();
    let tagged = |mut value: Value, team: &str| {
        value["tags"] = json!({ "team": team });
        value
    };
    let case = |id: ResourceId, after: &[&ResourceId], first: Value, second: Value, changes, risks| Case {
        id,
        after: after.iter().copied().cloned().collect(),
        first: tagged(first, "ml"),
        second: tagged(second, "ai"),
        changes,
        risks,
    };
    let subnet = |id: &ResourceId, cidr: &str, zone: &str, public: bool| {
        let wish = |public: bool| json!({"vpc": of(&vpc), "cidr": cidr, "zone": zone, "map_public_ip": public});
        let changes: &'static [&'static str] = if public {
            &["map_public_ip", "tags.team"]
        } else {
            &["tags.team"]
        };
        let risks: &'static [Risk] = if public { &[Risk::Exposes] } else { &[] };
        case(id.clone(), &[&vpc], wish(false), wish(public), changes, risks)
    };
    let nat = json!({"subnet": of(&subnets[0]), "allocation": of(&address)});
    let route = |to: &str| json!({"to": to, "by": of(&gateway)});
    let rule = |description: &str, peer: &str, port: u16| json!({"description": description, "peer": peer, "from": port, "to": port});
    let log = json!({"vpc": of(&vpc), "log_group": "k/flow", "role": "arn:aws:iam::123456789012:role/flow"});
    let interface = |subnets: &[Value]| {
        json!({"vpc": of(&vpc), "service": "com.amazonaws.eu-west-1.kms", "type": "Interface", "subnets": subnets,
            "security_groups": [of(&group)], "private_dns": true})
    };
    vec![
        case(
            vpc.clone(),
            &[],
            json!({"cidr": "10.0.0.0/16"}),
            json!({"cidr": "10.0.0.0/16", "dns_hostnames": false}),
            &["dns_hostnames", "tags.team"],
            &[Risk::Downtime],
        ),
        case(address.clone(), &[], json!({}), json!({}), &["tags.team"], &[]),
        case(
            gateway.clone(),
            &[&vpc],
            json!({"vpc": of(&vpc)}),
            json!({"vpc": of(&vpc)}),
            &["tags.team"],
            &[],
        ),
        subnet(&subnets[0], "10.0.0.0/20", "eu-west-1a", true),
        subnet(&subnets[1], "10.0.16.0/20", "eu-west-1b", false),
        case(
            id("ec2.NatGateway", "nat"),
            &[&subnets[0], &address],
            nat.clone(),
            nat,
            &["tags.team"],
            &[],
        ),
        case(
            id("ec2.RouteTable", "public"),
            &[&gateway, &subnets[0], &subnets[1]],
            json!({"vpc": of(&vpc), "routes": [route("0.0.0.0/0"), route("192.0.2.0/24")], "subnets": [of(&subnets[0])]}),
            json!({"vpc": of(&vpc), "routes": [route("0.0.0.0/0"), route("198.51.100.0/24")], "subnets": [of(&subnets[1])]}),
            &["routes", "subnets", "tags.team"],
            &[Risk::Downtime],
        ),
        case(
            group.clone(),
            &[&vpc],
            json!({"vpc": of(&vpc), "description": "servers", "ingress": [rule("kept", "10.0.0.0/16", 5432), rule("goes", "self", 6379)],
                "egress": [rule("names", "10.0.0.2/32", 53)]}),
            json!({"vpc": of(&vpc), "description": "servers", "ingress": [rule("kept, renamed", "10.0.0.0/16", 5432), rule("new", "10.1.0.0/16", 5432),
                rule("newer", "self", 443)]}),
            &["egress", "ingress", "tags.team"],
            &[Risk::Exposes],
        ),
        case(
            id("ec2.VpcEndpoint", "kms"),
            &[&subnets[0], &subnets[1], &group],
            interface(&[of(&subnets[0])]),
            interface(&[of(&subnets[0]), of(&subnets[1])]),
            &["subnets", "tags.team"],
            &[],
        ),
        case(
            id("ec2.FlowLog", "flow"),
            &[&vpc],
            log.clone(),
            log,
            &["tags.team"],
            &[],
        ),
    ]
}

/// The table of an account.
pub(crate) fn all(account: &Account) -> Vec<Case> {
    let prefix = format!("k{}", account.id);
    cases(&|kind, part| format!("aws/eu-west-1:{kind}/{prefix}-{part}").parse().unwrap())
}

fn request(account: &Account) -> PlanRequest {
    kinds::request_of(account, &all(account))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_ec2_lives_from_create_to_delete() {
    let account = Account::new().with_speed(20);
    kinds::live(&account, &all(&account)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_network_killed_at_any_call_is_finished_by_the_next() {
    kill_everywhere(Run::Apply, request, |account| &account.ec2, 6).await;
    kill_everywhere(Run::Destroy, request, |account| &account.ec2, 4).await;
}

/// EC2 shows new objects late: a second VPC or address is never made for one that does not show yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_does_not_show_yet_is_made_once() {
    let account = Account::new().with_speed(50);
    let mut request = request(&account);
    request
        .resources
        .retain(|one| ["ec2.Vpc", "ec2.ElasticIp"].contains(&one.id.kind().as_str()));
    let engine = account.engine("a");
    let next = plan(&engine, &request).await;
    let late = Late::by(2).losing();
    let provider = account.provider_by(&late.over(&account.config()));
    let engine = account.engine_of(provider, "a");
    apply(&engine, &next).await;
    assert!(late.lost() >= 2, "answers of creates were lost, and reads were late");
    are_single(&account, &request).await;
    assert!(plan(&account.engine("b"), &request).await.is_empty());
}

/// Ids and id tags of all that EC2 has of a set.
async fn there(account: &Account) -> Vec<(String, String)> {
    let filter = Filter::builder().name("key").values("mlplat:id").build();
    let tags = account
        .ec2_client()
        .describe_tags()
        .filters(filter)
        .into_paginator()
        .items();
    let tags: Vec<_> = tags.send().try_collect().await.unwrap();
    let ours = format!("/k{}-", account.id);
    let all = tags
        .into_iter()
        .map(|tag| (tag.resource_id.unwrap(), tag.value.unwrap()));
    all.filter(|(_, id)| id.contains(&ours)).collect()
}

/// Whether EC2 has one object, and one only, of each that a request asks for.
pub(crate) async fn are_single(account: &Account, request: &PlanRequest) {
    let there = there(account).await;
    let named: BTreeSet<&String> = there.iter().map(|(_, id)| id).collect();
    let wanted = request
        .resources
        .iter()
        .filter(|one| one.id.kind().as_str().starts_with("ec2."));
    assert_eq!(there.len(), wanted.count(), "{there:?}");
    assert_eq!(named.len(), there.len(), "none twice: {there:?}");
}
