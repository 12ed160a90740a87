//! A look at networks that others made.

use crate::ec2::{Described, client, filter};
use crate::kind::names_are_on;
use async_trait::async_trait;
use aws_sdk_ec2::types::{Filter, RouteState, RouteTable, SecurityGroup, Subnet as Sdk};
use platform_core::Result;
use provider_aws::existing::{Asked, Lookup, Sites, Subnet};
use provider_aws::kind::Scope;
use std::collections::{BTreeMap, BTreeSet};

/// EC2, asked by ids.
#[derive(Debug)]
struct Ec2;

/// What [`AwsProvider::with_lookup`](provider_aws::AwsProvider::with_lookup) takes: EC2, asked by ids.
pub fn lookup() -> &'static dyn Lookup {
    &Ec2
}

/// Lets pass what has one of these values.
fn any(name: &str, values: &BTreeSet<String>) -> Vec<Filter> {
    let values = values.iter().cloned().collect();
    vec![Filter::builder().name(name).set_values(Some(values)).build()]
}

#[async_trait]
impl Lookup for Ec2 {
    async fn look(&self, scope: &Scope<'_>, asked: &Asked) -> Result<Sites> {
        let client = client(scope);
        // By a filter: asked by its id, one that is not there would fail the call.
        let mut subnets = Vec::new();
        if !asked.subnets.is_empty() {
            subnets = Sdk::describe(&client, any("subnet-id", &asked.subnets)).await?;
        }
        let mut groups = Vec::new();
        if !asked.security_groups.is_empty() {
            groups = SecurityGroup::describe(&client, any("group-id", &asked.security_groups)).await?;
        }
        let vpcs: BTreeSet<&str> = subnets.iter().filter_map(Sdk::vpc_id).collect();
        let (mut named, mut tables) = (BTreeMap::new(), Vec::new());
        for vpc in vpcs {
            if asked.names {
                named.insert(vpc.to_owned(), names_are_on(&client, vpc).await?);
            }
            if asked.ways_out {
                tables.extend(RouteTable::describe(&client, vec![filter("vpc-id", vpc)]).await?);
            }
        }
        let subnet = |one: &Sdk| Subnet {
            vpc: one.vpc_id().unwrap_or_default().to_owned(),
            zone: one.availability_zone().unwrap_or_default().to_owned(),
            free: one.available_ip_address_count().unwrap_or_default(),
            named: one.vpc_id().is_some_and(|vpc| named.get(vpc) == Some(&true)),
            leads_out: table_of(&tables, one).is_some_and(leads_out),
        };
        Ok(Sites {
            subnets: subnets.iter().map(|one| (one.id().to_owned(), subnet(one))).collect(),
            security_groups: groups
                .iter()
                .map(|group| (group.id().to_owned(), group.vpc_id().unwrap_or_default().to_owned()))
                .collect(),
        })
    }
}

/// The table that routes a subnet: its own, or the main one of its VPC.
fn table_of<'a>(tables: &'a [RouteTable], subnet: &Sdk) -> Option<&'a RouteTable> {
    let own = |table: &&RouteTable| {
        table
            .associations()
            .iter()
            .any(|one| one.subnet_id() == subnet.subnet_id())
    };
    let main = |table: &&RouteTable| {
        table.vpc_id() == subnet.vpc_id() && table.associations().iter().any(|one| one.main() == Some(true))
    };
    tables.iter().find(own).or_else(|| tables.iter().find(main))
}

fn leads_out(table: &RouteTable) -> bool {
    table.routes().iter().any(|route| {
        let everywhere = route.destination_cidr_block() == Some("0.0.0.0/0");
        everywhere && route.state() != Some(&RouteState::Blackhole)
    })
}
