//! Networks that somebody else made: what is wrong with one is said in the plan.

use crate::emulators::Account;
use crate::environments::Environment;
use aws_sdk_ec2::types::AttributeBooleanValue;
use composition::config::PlatformConfig;
use platform_core::engine::{Action, Approvals, Plan};
use serde_json::{Value, json};
use xtask::proxy::{Call, Proxy};

/// A subnet in a zone.
async fn subnet(account: &Account, vpc: &str, zone: &str, cidr: &str) -> String {
    let call = account.ec2_client().create_subnet().vpc_id(vpc).cidr_block(cidr);
    let made = call.availability_zone(format!("eu-west-1{zone}")).send().await;
    made.unwrap().subnet.unwrap().subnet_id.unwrap()
}

async fn vpc(account: &Account, cidr: &str) -> String {
    let made = account.ec2_client().create_vpc().cidr_block(cidr).send().await;
    made.unwrap().vpc.unwrap().vpc_id.unwrap()
}

async fn group(account: &Account, vpc: &str, name: &str) -> String {
    let call = account.ec2_client().create_security_group().vpc_id(vpc);
    let made = call.group_name(name).description(name).send().await;
    made.unwrap().group_id.unwrap()
}

async fn host_names(account: &Account, vpc: &str, on: bool) {
    let on = AttributeBooleanValue::builder().value(on).build();
    let call = account.ec2_client().modify_vpc_attribute().vpc_id(vpc);
    call.enable_dns_hostnames(on).send().await.unwrap();
}

/// Lets the subnets of a VPC reach everything.
async fn way_out(account: &Account, vpc: &str) {
    let ec2 = account.ec2_client();
    let gateway = ec2.create_internet_gateway().send().await.unwrap();
    let gateway = gateway.internet_gateway.unwrap().internet_gateway_id.unwrap();
    let attach = ec2.attach_internet_gateway().vpc_id(vpc);
    attach.internet_gateway_id(&gateway).send().await.unwrap();
    let tables = ec2.describe_route_tables().send().await.unwrap().route_tables.unwrap();
    let table = tables.into_iter().find(|table| table.vpc_id() == Some(vpc)).unwrap();
    let route = ec2.create_route().route_table_id(table.route_table_id.unwrap());
    let route = route.destination_cidr_block("0.0.0.0/0").gateway_id(gateway);
    route.send().await.unwrap();
}

/// A network as platforms use one, as the config names it.
pub(crate) async fn network(account: &Account) -> Value {
    let vpc = vpc(account, "10.20.0.0/16").await;
    host_names(account, &vpc, true).await;
    way_out(account, &vpc).await;
    let mut subnets = Vec::new();
    for (zone, cidr) in [("a", "10.20.0.0/24"), ("b", "10.20.1.0/24"), ("c", "10.20.2.0/24")] {
        subnets.push(subnet(account, &vpc, zone, cidr).await);
    }
    let groups =
        json!({"database": group(account, &vpc, "database").await, "cache": group(account, &vpc, "cache").await});
    json!({"vpc": vpc, "private_subnets": subnets, "security_groups": groups})
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    NoSuchSubnet,
    OneZone,
    ElsewhereGroup,
    NoHostNames,
    FewAddresses,
    NoWayOut,
}

impl Fault {
    async fn make(self, account: &Account, network: &mut Value) {
        let id = network["vpc"].as_str().unwrap().to_owned();
        match self {
            Self::NoSuchSubnet => network["private_subnets"][1] = json!("subnet-0123456789abcdef0"),
            Self::OneZone => {
                for (at, cidr) in [(1, "10.20.3.0/24"), (2, "10.20.4.0/24")] {
                    network["private_subnets"][at] = json!(subnet(account, &id, "a", cidr).await);
                }
            }
            Self::ElsewhereGroup => {
                let other = vpc(account, "10.21.0.0/16").await;
                network["security_groups"]["database"] = json!(group(account, &other, "database").await);
            }
            Self::NoHostNames => host_names(account, &id, false).await,
            Self::FewAddresses => {
                let small = subnet(account, &id, "b", "10.20.5.0/28").await;
                for _ in 0..6 {
                    let call = account.ec2_client().create_network_interface().subnet_id(&small);
                    call.send().await.unwrap();
                }
                network["private_subnets"][1] = json!(small);
            }
            Self::NoWayOut => {
                let table = account.ec2_client().create_route_table().vpc_id(&id).send().await;
                let table = table.unwrap().route_table.unwrap().route_table_id.unwrap();
                let call = account.ec2_client().associate_route_table().route_table_id(table);
                let subnet = network["private_subnets"][2].as_str().unwrap();
                call.subnet_id(subnet).send().await.unwrap();
            }
        }
    }
}

fn blocked(plan: &Plan) -> Vec<(String, String)> {
    let steps = plan.steps.iter().filter(|step| step.action == Action::Blocked);
    steps
        .map(|step| (step.id.kind().to_string(), step.blocked.as_ref().unwrap().why.clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_does_not_do_is_refused_in_the_plan() {
    for (fault, kind, says) in [
        (
            Fault::NoSuchSubnet,
            "rds.DbSubnetGroup",
            "subnet-0123456789abcdef0 is not in this account and region",
        ),
        (
            Fault::OneZone,
            "rds.DbSubnetGroup",
            "lie in eu-west-1a alone, 2 zones are needed",
        ),
        (
            Fault::ElsewhereGroup,
            "rds.DbInstance",
            "other parts of the platform in vpc-",
        ),
        (Fault::NoHostNames, "eks.Cluster", "DNS"),
        (Fault::FewAddresses, "eks.Cluster", "has 5 free addresses, 6 are needed"),
    ] {
        let mut environment = Environment::of("staging", 4).await;
        let mut config = environment.config.to_json();
        fault
            .make(&environment.account, &mut config["aws"]["network"]["existing"])
            .await;
        environment.config = PlatformConfig::parse(&config.to_string(), "environment.yaml").unwrap();
        let platform = environment.platform("a");
        let plan = platform.plan().await.unwrap();
        let blocked = blocked(&plan);
        assert!(
            blocked.iter().any(|(of, why)| of == kind && why.contains(says)),
            "{fault:?}: {blocked:?}"
        );
        let refused = platform.apply(&plan, &Approvals::none(), |_| {}).await;
        assert!(refused.is_err(), "{fault:?}");
        let calls = environment.account.proxies().map(Proxy::calls);
        assert!(!calls.iter().flatten().any(Call::writes), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_without_a_way_out_is_warned_of() {
    let environment = Environment::of("staging", 4).await;
    let clean = environment.platform("a").plan().await.unwrap();
    assert_eq!(clean.counts().blocked, 0, "{}", clean.display());
    let warnings = |plan: &Plan| {
        let all = plan.steps.iter().flat_map(|step| step.warnings.clone());
        all.filter(|text| text.contains("no route to everywhere"))
            .collect::<Vec<_>>()
    };
    assert_eq!(warnings(&clean), Vec::<String>::new());
    let mut network = environment.config.to_json()["aws"]["network"]["existing"].clone();
    Fault::NoWayOut.make(&environment.account, &mut network).await;
    let plan = environment.platform("a").plan().await.unwrap();
    let subnet = network["private_subnets"][2].as_str().unwrap();
    assert_eq!(plan.counts().blocked, 0);
    assert!(warnings(&plan).iter().all(|text| text.contains(subnet)) && !warnings(&plan).is_empty());
}
