//! `ec2.RouteTable`: where the traffic of some subnets goes, with its routes and associations.
//!
//! The route within the VPC, and those that gateway endpoints put there, are not its own.

use crate::ec2::{self, Described, NAMES, client, filter};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, ResourceType, Route as SdkRoute, RouteOrigin, RouteTable as Sdk, Tag};
use platform_core::value::SetId;
use platform_core::{
    Calls, Creation, Equal, Field, FieldChange, Holds, KindFacts, Result, Risk, RiskRule, State, Updating,
};
use provider_aws::kind::{AwsKind, Found, Outcome, Reach, Scope, Tags};
use serde::{Deserialize, Serialize};
use std::time::Duration;

static FACTS: KindFacts = KindFacts {
    kind: "ec2.RouteTable",
    holds: Holds::Nothing,
    rank: 16,
    name: NAMES,
    create: Creation::Token,
    update: Updating::AtOnce,
    patience: Duration::from_mins(5),
    usually: Duration::from_secs(4),
    taken: "",
    removal: None,
    outputs: &["id"],
    fields: &[
        Field::new("vpc")
            .changes(FieldChange::Never)
            .instead("a route table keeps its VPC: make another one beside it"),
        Field::new("routes")
            .equal(Equal::Set)
            .risk(RiskRule::Always(Risk::Downtime)),
        Field::new("subnets")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::Downtime)),
    ],
    calls: Calls {
        read: &["ec2:DescribeRouteTables"],
        create: &[
            "ec2:CreateRouteTable",
            "ec2:CreateRoute",
            "ec2:ReplaceRoute",
            "ec2:DeleteRoute",
            "ec2:AssociateRouteTable",
            "ec2:ReplaceRouteTableAssociation",
            "ec2:DisassociateRouteTable",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        update: &[
            "ec2:CreateRoute",
            "ec2:ReplaceRoute",
            "ec2:DeleteRoute",
            "ec2:AssociateRouteTable",
            "ec2:ReplaceRouteTableAssociation",
            "ec2:DisassociateRouteTable",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        delete: &["ec2:DisassociateRouteTable", "ec2:DeleteRouteTable"],
    },
};

#[derive(Debug)]
pub(super) struct RouteTable;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desired {
    vpc: String,
    #[serde(default)]
    routes: Vec<Route>,
    /// Whose traffic it is; a subnet has one table.
    #[serde(default)]
    subnets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    /// `0.0.0.0/0`.
    to: String,
    /// The internet gateway or NAT gateway; shown as another target's id where somebody else set one.
    by: String,
}

#[async_trait]
impl Described for Sdk {
    const KIND: &'static str = "ec2.RouteTable";

    async fn describe(client: &Client, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let pages = client
            .describe_route_tables()
            .set_filters(Some(filters))
            .into_paginator();
        pages
            .items()
            .send()
            .try_collect()
            .await
            .during("ec2:DescribeRouteTables")
    }

    fn id(&self) -> &str {
        self.route_table_id().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

impl Route {
    /// One of the table's own.
    fn of(route: &SdkRoute) -> Option<Self> {
        let to = route.destination_cidr_block().or(route.destination_ipv6_cidr_block())?;
        if matches!(
            route.origin(),
            Some(RouteOrigin::CreateRouteTable | RouteOrigin::EnableVgwRoutePropagation)
        ) {
            return None;
        }
        let by = [
            route.gateway_id(),
            route.nat_gateway_id(),
            route.transit_gateway_id(),
            route.vpc_peering_connection_id(),
            route.egress_only_internet_gateway_id(),
            route.carrier_gateway_id(),
            route.local_gateway_id(),
            route.network_interface_id(),
        ];
        let by = by.into_iter().flatten().next().unwrap_or_default();
        (by != "local").then(|| Self {
            to: to.to_owned(),
            by: by.to_owned(),
        })
    }

    fn is_by_nat(&self) -> bool {
        self.by.starts_with("nat-")
    }
}

async fn disassociate(scope: &Scope<'_>, association: &str) -> Result<()> {
    let call = client(scope).disassociate_route_table().association_id(association);
    let gone = ["InvalidAssociationID.NotFound"];
    call.send().await.absent("ec2:DisassociateRouteTable", &gone).map(drop)
}

/// Associations of a table with subnets.
async fn associations(scope: &Scope<'_>, filter: Filter) -> Result<Vec<(String, String)>> {
    let tables = Sdk::describe(&client(scope), vec![filter]).await?;
    let all = tables.iter().flat_map(Sdk::associations);
    Ok(all
        .filter_map(|one| {
            Some((
                one.subnet_id()?.to_owned(),
                one.route_table_association_id()?.to_owned(),
            ))
        })
        .collect())
}

/// Gives a subnet this table, whichever it had.
async fn associate(scope: &Scope<'_>, table: &str, subnet: &str) -> Result<()> {
    let client = client(scope);
    let call = client.associate_route_table().route_table_id(table).subnet_id(subnet);
    let taken = ["Resource.AlreadyAssociated"];
    if call.send().await.absent("ec2:AssociateRouteTable", &taken)?.is_some() {
        return Ok(());
    }
    let others = associations(scope, filter("association.subnet-id", subnet)).await?;
    if let Some((_, association)) = others.into_iter().find(|(of, _)| of == subnet) {
        let call = client
            .replace_route_table_association()
            .association_id(association)
            .route_table_id(table);
        call.send().await.during("ec2:ReplaceRouteTableAssociation")?;
    }
    Ok(())
}

async fn put_route(scope: &Scope<'_>, table: &str, route: &Route, replaces: bool) -> Result<()> {
    let (by, nat) = (route.by.as_str(), route.is_by_nat());
    if replaces {
        let call = client(scope)
            .replace_route()
            .route_table_id(table)
            .destination_cidr_block(&route.to);
        let call = if nat {
            call.nat_gateway_id(by)
        } else {
            call.gateway_id(by)
        };
        call.send().await.during("ec2:ReplaceRoute").map(drop)
    } else {
        let call = client(scope)
            .create_route()
            .route_table_id(table)
            .destination_cidr_block(&route.to);
        let call = if nat {
            call.nat_gateway_id(by)
        } else {
            call.gateway_id(by)
        };
        call.send().await.during("ec2:CreateRoute").map(drop)
    }
}

#[async_trait]
impl AwsKind for RouteTable {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["ec2:{region}:{account}:route-table/*"])
        .beside(&[
            ("ec2:CreateRouteTable", &["ec2:{region}:{account}:vpc/*"]),
            ("ec2:AssociateRouteTable", &["ec2:{region}:{account}:subnet/*"]),
            ("ec2:ReplaceRouteTableAssociation", &["ec2:{region}:{account}:subnet/*"]),
            ("ec2:DisassociateRouteTable", &["ec2:{region}:{account}:subnet/*"]),
        ])
        .births(&["ec2:CreateRouteTable"]);
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        wanted.routes.sort();
        wanted.subnets.sort();
        wanted.subnets.dedup();
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let table = ec2::find::<Sdk>(scope, name).await?;
        Ok(table.map(|table| {
            let mut routes: Vec<Route> = table.routes().iter().filter_map(Route::of).collect();
            routes.sort();
            let subnets = table.associations().iter().filter_map(|one| one.subnet_id());
            let mut subnets: Vec<String> = subnets.map(str::to_owned).collect();
            subnets.sort();
            let settings = Desired {
                vpc: table.vpc_id().unwrap_or_default().to_owned(),
                routes,
                subnets,
            };
            ec2::found(&table, settings, State::Ready)
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        ec2::list::<Sdk>(scope).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        // Routes and associations follow as a difference, once it shows.
        let call = client(scope)
            .create_route_table()
            .client_token(token)
            .vpc_id(&wanted.vpc)
            .tag_specifications(ec2::born(ResourceType::RouteTable, name, tags));
        call.send().await.during("ec2:CreateRouteTable").map(drop)
    }

    async fn update(scope: &Scope<'_>, _name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (have, table) = (&found.settings, found.handle.as_str());
        for route in wanted.routes.iter().filter(|route| !have.routes.contains(route)) {
            let replaces = have.routes.iter().any(|other| other.to == route.to);
            put_route(scope, table, route, replaces).await?;
        }
        for route in &have.routes {
            if !wanted.routes.iter().any(|other| other.to == route.to) {
                let call = client(scope).delete_route().route_table_id(table);
                let call = if route.to.contains(':') {
                    call.destination_ipv6_cidr_block(&route.to)
                } else {
                    call.destination_cidr_block(&route.to)
                };
                call.send()
                    .await
                    .absent("ec2:DeleteRoute", &["InvalidRoute.NotFound"])?;
            }
        }
        for subnet in wanted.subnets.iter().filter(|subnet| !have.subnets.contains(subnet)) {
            associate(scope, table, subnet).await?;
        }
        if have.subnets.iter().any(|subnet| !wanted.subnets.contains(subnet)) {
            for (subnet, association) in associations(scope, filter("route-table-id", table)).await? {
                if !wanted.subnets.contains(&subnet) {
                    disassociate(scope, &association).await?;
                }
            }
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        ec2::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        for (_, association) in associations(scope, filter("route-table-id", &found.handle)).await? {
            disassociate(scope, &association).await?;
        }
        let call = client(scope).delete_route_table().route_table_id(&found.handle);
        let gone = ["InvalidRouteTableID.NotFound"];
        call.send().await.absent("ec2:DeleteRouteTable", &gone).map(drop)
    }
}
