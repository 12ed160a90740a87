//! The kinds of EC2.
//!
//! EC2 makes the ids, and names nothing: an object is found by its id tag, which is in the create call. One that carries no
//! tag of ours but is called so by its `Name` tag can be taken over.

mod elastic_ip;
mod flow_log;
mod internet_gateway;
mod nat_gateway;
mod route_table;
mod security_group;
mod subnet;
mod vpc;
mod vpc_endpoint;

pub(crate) use vpc::names_are_on;

use platform_core::KindFacts;
use platform_core::value::Kind;
use provider_aws::kind::AddedKind;

static KINDS: &[AddedKind] = &[
    AddedKind::of::<elastic_ip::ElasticIp>(),
    AddedKind::of::<flow_log::FlowLog>(),
    AddedKind::of::<internet_gateway::InternetGateway>(),
    AddedKind::of::<nat_gateway::NatGateway>(),
    AddedKind::of::<route_table::RouteTable>(),
    AddedKind::of::<security_group::SecurityGroup>(),
    AddedKind::of::<subnet::Subnet>(),
    AddedKind::of::<vpc::Vpc>(),
    AddedKind::of::<vpc_endpoint::VpcEndpoint>(),
];

/// All kinds of this crate.
pub fn kinds() -> &'static [AddedKind] {
    KINDS
}

/// The facts of a kind of this crate or of `provider-aws`; `None` for any other.
///
/// # Example
/// ```
/// let facts = provider_aws_network::facts(&"ec2.Vpc".parse()?).unwrap();
/// assert!(facts.outputs.contains(&"id"));
/// assert!(provider_aws_network::facts(&"s3.Bucket".parse()?).is_some());
/// # Ok::<(), platform_core::value::InvalidValue>(())
/// ```
pub fn facts(kind: &Kind) -> Option<&'static KindFacts> {
    let added = KINDS
        .iter()
        .map(AddedKind::facts)
        .find(|facts| facts.kind == kind.as_str());
    added.or_else(|| provider_aws::facts(kind))
}
