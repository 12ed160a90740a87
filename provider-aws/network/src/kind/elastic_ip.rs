//! `ec2.ElasticIp`: a public address, by which a NAT gateway is seen from outside.
//!
//! `AllocateAddress` takes neither name nor token, and an address costs money: a create is recorded in the lease first, and
//! what a killed run made is found by its id tag.

use crate::ec2::{self, Described, NAMES, client, perhaps_made};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Address, DomainType, Filter, ResourceType, Tag};
use platform_core::value::SetId;
use platform_core::{Calls, Creation, Holds, KindFacts, Result, Risk, State, Updating};
use provider_aws::kind::{AwsKind, Found, Outcome, Reach, Room, Scope, Tags};
use serde::{Deserialize, Serialize};
use std::time::Duration;

static FACTS: KindFacts = KindFacts {
    kind: "ec2.ElasticIp",
    holds: Holds::Nothing,
    rank: 14,
    name: NAMES,
    create: Creation::Unguarded,
    update: Updating::AtOnce,
    patience: Duration::from_mins(5),
    usually: Duration::from_secs(2),
    taken: "",
    // Others may have let this address in.
    removal: Some(Risk::Irreversible),
    outputs: &["id", "public_ip"],
    fields: &[],
    calls: Calls {
        read: &["ec2:DescribeAddresses"],
        create: &["ec2:AllocateAddress", "ec2:CreateTags", "ec2:DeleteTags"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:ReleaseAddress"],
    },
};

#[derive(Debug)]
pub(super) struct ElasticIp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desired {}

#[async_trait]
impl Described for Address {
    const KIND: &'static str = "ec2.ElasticIp";

    async fn describe(client: &Client, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let call = client.describe_addresses().set_filters(Some(filters));
        let answer = call.send().await.during("ec2:DescribeAddresses")?;
        Ok(answer.addresses.unwrap_or_default())
    }

    fn id(&self) -> &str {
        self.allocation_id().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

#[async_trait]
impl AwsKind for ElasticIp {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["ec2:{region}:{account}:elastic-ip/*"]).births(&["ec2:AllocateAddress"]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let address = ec2::find::<Address>(scope, name).await?;
        Ok(address.map(|address| {
            let mut found = ec2::found(&address, Desired {}, State::Ready);
            let public = address.public_ip().unwrap_or_default();
            found.outputs.insert("public_ip".to_owned(), public.into());
            found
        }))
    }

    async fn room(scope: &Scope<'_>) -> Result<Option<Room>> {
        ec2::room::<Address>(scope, "ec2", "L-0263D0A3", "Elastic IPs").await
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        ec2::list::<Address>(scope).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn create(scope: &Scope<'_>, name: &str, _wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        client(scope)
            .allocate_address()
            .domain(DomainType::Vpc)
            .tag_specifications(ec2::born(ResourceType::ElasticIp, name, tags))
            .customize()
            .config_override(ec2::once())
            .send()
            .await
            .during("ec2:AllocateAddress")
            .map_err(perhaps_made)?;
        Ok(())
    }

    async fn update(_scope: &Scope<'_>, _name: &str, _found: &Found<Desired>, _wanted: &Desired) -> Result<()> {
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        ec2::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let call = client(scope).release_address().allocation_id(&found.handle).send();
        call.await
            .absent("ec2:ReleaseAddress", &["InvalidAllocationID.NotFound"])
            .map(drop)
    }
}
