//! The VPC that servers lie in, where one is made for the platform: subnets, the ways out, and who may talk to whom.
//!
//! A zone's addresses follow from its letter, so zones come and go without moving another. Each has a route table of its own,
//! so does the number of NAT gateways.

use super::{cluster, retention};
use crate::capability::{CACHE_PORT, DATABASE_PORT};
use crate::cluster::Cluster;
use crate::draft::Draft;
use crate::network::{Nat, Network, NewNetwork, addresses};
use crate::roles;
use platform_core::value::{Reference, ResourceId};
use platform_core::{Call, Capability, Error, ErrorKind, Resource, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const EVERYWHERE: &str = "0.0.0.0/0";
/// Longest name; the kinds take a little more.
const MAX_NAME: usize = 200;
/// The log of flows, and the role that writes it.
const FLOWS: &str = "vpc-flows";
/// Whose servers lie in the network.
const SERVERS: [Capability; 2] = [Capability::Database, Capability::Cache];
/// What servers and nodes call, and cannot reach without a NAT gateway.
const SERVICES: [&str; 11] = [
    "ec2",
    "ecr.api",
    "ecr.dkr",
    "eks",
    "eks-auth",
    "elasticloadbalancing",
    "kms",
    "logs",
    "monitoring",
    "secretsmanager",
    "sts",
];

/// Whether any of these, or a cluster made for them, needs a network.
pub(super) fn is_needed(draft: &Draft<'_>, wanted: &BTreeSet<Capability>) -> bool {
    SERVERS.iter().any(|capability| wanted.contains(capability)) || (!wanted.is_empty() && has_cluster(draft))
}

/// Whether a cluster is made in the network.
fn has_cluster(draft: &Draft<'_>) -> bool {
    !draft.context.alone && matches!(draft.shared.options.cluster, Some(Cluster::Create(_)))
}

/// What has to stand before a server in a private subnet reaches anything outside.
pub(crate) fn ways(draft: &Draft<'_>) -> Result<Vec<ResourceId>> {
    match &draft.shared.options.network {
        Network::Existing(_) => Ok(Vec::new()),
        Network::Create(wanted) => {
            let table = |zone: &String| named(draft, "ec2.RouteTable", Tier::Private.word(), zone);
            let mut ways: Vec<ResourceId> = wanted.zones.iter().map(table).collect::<Result<_>>()?;
            for endpoint in endpoints(draft, wanted)? {
                ways.push(endpoint.id);
            }
            Ok(ways)
        }
    }
}

/// The network that these need.
pub(super) fn resources(
    draft: &Draft<'_>,
    wanted: &NewNetwork,
    servers: &BTreeSet<Capability>,
) -> Result<Vec<Resource>> {
    draft.makes_networks()?;
    let mut resources = vec![
        draft.resource(vpc(draft)?, json!({ "cidr": wanted.cidr })),
        draft.resource(internet(draft)?, json!({ "vpc": id(vpc(draft)?) })),
    ];
    for zone in &wanted.zones {
        resources.push(subnet(draft, wanted, Tier::Public, zone)?);
        resources.push(subnet(draft, wanted, Tier::Private, zone)?);
    }
    resources.extend(ways_out(draft, wanted)?);
    resources.extend(endpoints(draft, wanted)?);
    resources.extend(groups(draft, wanted, servers)?);
    resources.extend(flow_log(draft)?);
    Ok(resources)
}

/// The VPC.
pub(crate) fn vpc(draft: &Draft<'_>) -> Result<ResourceId> {
    draft.id("ec2.Vpc", &draft.name("", MAX_NAME))
}

/// The subnets of a tier, in the order of the zones.
pub(crate) fn subnets(draft: &Draft<'_>, wanted: &NewNetwork, tier: Tier) -> Result<Vec<Value>> {
    let one = |zone: &String| Ok(id(named(draft, "ec2.Subnet", tier.word(), zone)?));
    wanted.zones.iter().map(one).collect()
}

/// The security group of a capability's servers.
pub(crate) fn group(draft: &Draft<'_>, capability: Capability) -> Result<Value> {
    Ok(id(draft.id(GROUP, &draft.name(capability.as_str(), MAX_NAME))?))
}

const GROUP: &str = "ec2.SecurityGroup";
/// The group of whoever may call the platform's servers.
const CLIENTS: &str = "clients";

/// Whether a subnet's servers can be reached from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Public,
    Private,
}

impl Tier {
    fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    /// What load balancers made in a cluster find their subnets by.
    fn role(self) -> &'static str {
        match self {
            Self::Public => "kubernetes.io/role/elb",
            Self::Private => "kubernetes.io/role/internal-elb",
        }
    }

    /// The addresses of a zone: of a /16 a private /20 from its lower half, a public /22 from its upper half.
    fn block(self, cidr: &str, zone: &str) -> Option<String> {
        let (start, length) = addresses(cidr)?;
        let place = u32::from(zone.bytes().next()?.checked_sub(b'a')?);
        let half = 1_u32 << (31 - u32::from(length));
        let (from, length) = match self {
            Self::Private => (0, length + 4),
            Self::Public => (half, length + 6),
        };
        let size = 1_u32 << (32 - u32::from(length));
        let address = Ipv4Addr::from(u32::from(start) + from + place * size);
        (place < 8).then(|| format!("{address}/{length}"))
    }
}

fn id(of: ResourceId) -> Value {
    Reference::new(of, "id").to_value()
}

fn named(draft: &Draft<'_>, kind: &str, part: &str, zone: &str) -> Result<ResourceId> {
    draft.id(kind, &draft.name(&format!("{part}-{zone}"), MAX_NAME))
}

fn internet(draft: &Draft<'_>) -> Result<ResourceId> {
    draft.id("ec2.InternetGateway", &draft.name("", MAX_NAME))
}

fn subnet(draft: &Draft<'_>, wanted: &NewNetwork, tier: Tier, zone: &str) -> Result<Resource> {
    let block = tier.block(&wanted.cidr, zone).ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            format!("{} has no addresses for zone {zone}", wanted.cidr),
        )
        .with_context("config", "aws.network.create")
        .with_help("write a /16 to /20 and zones from a to h")
    })?;
    Ok(draft.resource(
        named(draft, "ec2.Subnet", tier.word(), zone)?,
        json!({
            "vpc": id(vpc(draft)?),
            "cidr": block,
            "zone": format!("{}{zone}", draft.shared.region()),
            "tags": { (tier.role()): "1" },
        }),
    ))
}

/// The zones that have a NAT gateway.
fn nat_zones(wanted: &NewNetwork) -> &[String] {
    match wanted.nat {
        Nat::None => &[],
        Nat::Single => wanted.zones.get(..1).unwrap_or_default(),
        Nat::PerZone => &wanted.zones,
    }
}

/// NAT gateways and the route tables.
fn ways_out(draft: &Draft<'_>, wanted: &NewNetwork) -> Result<Vec<Resource>> {
    let mut resources = Vec::new();
    let zones = nat_zones(wanted);
    for zone in zones {
        let address = named(draft, "ec2.ElasticIp", "nat", zone)?;
        let desired =
            json!({ "subnet": id(named(draft, "ec2.Subnet", "public", zone)?), "allocation": id(address.clone()) });
        let gateway = draft.resource(named(draft, "ec2.NatGateway", "nat", zone)?, desired);
        resources.push(draft.resource(address, json!({})));
        // Without a way to the internet it fails.
        resources.push(gateway.with_after(internet(draft)?));
    }
    resources.push(draft.resource(
        draft.id("ec2.RouteTable", &draft.name("public", MAX_NAME))?,
        json!({
            "vpc": id(vpc(draft)?),
            "routes": [{ "to": EVERYWHERE, "by": id(internet(draft)?) }],
            "subnets": subnets(draft, wanted, Tier::Public)?,
        }),
    ));
    for zone in &wanted.zones {
        let by = zones.iter().find(|nat| *nat == zone).or(zones.first());
        let routes: Vec<Value> = by
            .map(|nat| named(draft, "ec2.NatGateway", "nat", nat))
            .transpose()?
            .map(|nat| json!({ "to": EVERYWHERE, "by": id(nat) }))
            .into_iter()
            .collect();
        resources.push(draft.resource(
            named(draft, "ec2.RouteTable", "private", zone)?,
            json!({
                "vpc": id(vpc(draft)?),
                "routes": routes,
                "subnets": [id(named(draft, "ec2.Subnet", "private", zone)?)],
            }),
        ));
    }
    Ok(resources)
}

/// The ways to AWS's services that do not lead through the internet: to S3 always, to others where there is no other.
fn endpoints(draft: &Draft<'_>, wanted: &NewNetwork) -> Result<Vec<Resource>> {
    let service = |name: &str| {
        let start = if draft.partition() == "aws-cn" { "cn.com" } else { "com" };
        format!("{start}.amazonaws.{}.{name}", draft.shared.region())
    };
    let mut tables = vec![id(draft.id("ec2.RouteTable", &draft.name("public", MAX_NAME))?)];
    for zone in &wanted.zones {
        tables.push(id(named(draft, "ec2.RouteTable", "private", zone)?));
    }
    let mut resources = vec![draft.resource(
        draft.id("ec2.VpcEndpoint", &draft.name("s3", MAX_NAME))?,
        json!({
            "vpc": id(vpc(draft)?),
            // The one that is called so in every partition.
            "service": format!("com.amazonaws.{}.s3", draft.shared.region()),
            "type": "Gateway",
            "route_tables": tables,
        }),
    )];
    if wanted.nat != Nat::None {
        return Ok(resources);
    }
    let group = draft.id(GROUP, &draft.name("endpoints", MAX_NAME))?;
    let rule = rule("services of AWS", &json!(wanted.cidr), 443);
    resources.push(security_group(
        draft,
        "endpoints",
        "endpoints of services of AWS",
        &[rule],
        &[],
    )?);
    for name in SERVICES {
        resources.push(draft.resource(
            draft.id("ec2.VpcEndpoint", &draft.name(&name.replace('.', "-"), MAX_NAME))?,
            json!({
                "vpc": id(vpc(draft)?),
                "service": service(name),
                "type": "Interface",
                "subnets": subnets(draft, wanted, Tier::Private)?,
                "security_groups": [id(group.clone())],
                "private_dns": true,
            }),
        ));
    }
    Ok(resources)
}

fn rule(description: &str, peer: &Value, port: u16) -> Value {
    json!({ "description": description, "peer": peer, "from": port, "to": port })
}

fn security_group(
    draft: &Draft<'_>,
    part: &str,
    description: &str,
    ingress: &[Value],
    egress: &[Value],
) -> Result<Resource> {
    Ok(draft.resource(
        draft.id(GROUP, &draft.name(part, MAX_NAME))?,
        json!({
            "vpc": id(vpc(draft)?),
            "description": format!("{description} of {}", draft.context.set),
            "ingress": ingress,
            "egress": egress,
        }),
    ))
}

/// Servers hear only whoever carries the group of clients, and the cluster if something in it calls them; they call nobody.
fn groups(draft: &Draft<'_>, wanted: &NewNetwork, of: &BTreeSet<Capability>) -> Result<Vec<Resource>> {
    let port = |capability| match capability {
        Capability::Cache => CACHE_PORT,
        _ => DATABASE_PORT,
    };
    let clients = id(draft.id(GROUP, &draft.name(CLIENTS, MAX_NAME))?);
    let (mut resources, mut calls) = (Vec::new(), Vec::new());
    for capability in SERVERS.into_iter().filter(|capability| of.contains(capability)) {
        let word = capability.as_str();
        let mut ingress = vec![rule("clients", &clients, port(capability))];
        let mut workloads = draft.context.surfaces.workloads();
        let called = workloads.any(|(_, workload)| workload.calls.contains(&Call::Endpoints(capability)));
        if called && has_cluster(draft) {
            let nodes = Reference::new(cluster::id(draft)?, "security_group").to_value();
            ingress.push(rule("the cluster", &nodes, port(capability)));
        }
        resources.push(security_group(draft, word, &format!("{word} servers"), &ingress, &[])?);
        calls.push(rule(word, &json!(wanted.cidr), port(capability)));
    }
    resources.push(security_group(
        draft,
        CLIENTS,
        "whoever may call the servers",
        &[],
        &calls,
    )?);
    Ok(resources)
}

/// Who talked to whom, for as long as logs are kept.
fn flow_log(draft: &Draft<'_>) -> Result<Vec<Resource>> {
    let group = draft.id("logs.LogGroup", &draft.path(FLOWS))?;
    let name = format!("/{}", group.name());
    let mut trust = roles::services(&["vpc-flow-logs.amazonaws.com"]);
    for statement in &mut trust {
        statement["Condition"] = json!({ "StringEquals": { "aws:SourceAccount": draft.shared.options.account } });
    }
    let write = json!({
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        "Resource": draft.arn("logs", &format!("log-group:{name}:*")),
    });
    // Groups can only be described all together.
    let find = json!({ "Effect": "Allow", "Action": "logs:DescribeLogGroups", "Resource": "*" });
    let role = draft.role(FLOWS, &trust, &[("write", vec![write, find])], &[])?;
    let log = draft
        .resource(
            draft.id("ec2.FlowLog", &draft.name(FLOWS, MAX_NAME))?,
            json!({ "vpc": id(vpc(draft)?), "log_group": name, "role": draft.role_arn(FLOWS) }),
        )
        .with_after(group.clone())
        .with_after(role.id.clone());
    let logs = json!({ "retention_days": retention(draft.context.environment), "kms_key": draft.data_key()? });
    Ok(vec![draft.resource(group, logs), role, log])
}

#[cfg(test)]
mod tests {
    use super::Tier;

    #[test]
    fn each_zone_has_addresses_of_its_own() {
        for (cidr, zone, private, public) in [
            ("10.0.0.0/16", "a", "10.0.0.0/20", "10.0.128.0/22"),
            ("10.0.0.0/16", "c", "10.0.32.0/20", "10.0.136.0/22"),
            ("10.0.0.0/16", "h", "10.0.112.0/20", "10.0.156.0/22"),
            ("172.16.16.0/20", "a", "172.16.16.0/24", "172.16.24.0/26"),
            ("172.16.16.0/20", "h", "172.16.23.0/24", "172.16.25.192/26"),
        ] {
            assert_eq!(Tier::Private.block(cidr, zone).unwrap(), private);
            assert_eq!(Tier::Public.block(cidr, zone).unwrap(), public);
        }
        assert_eq!(Tier::Private.block("10.0.0.0/16", "i"), None);
    }
}
