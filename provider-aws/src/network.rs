//! Where the platform's servers lie: a network made for it, or one that is there.

use platform_core::{Capability, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where servers lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Network {
    /// Made with the platform and gone with it.
    Create(NewNetwork),
    /// Somebody else's, which is only used.
    Existing(ExistingNetwork),
}

impl Default for Network {
    fn default() -> Self {
        Self::Create(NewNetwork::default())
    }
}

/// A VPC made for the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NewNetwork {
    /// Its addresses, a `/16` to `/20`. Default `10.0.0.0/16`. Cannot be changed.
    pub cidr: String,
    /// Letters of the availability zones, two or more from `a` to `h`: `a` is `eu-west-1a` in eu-west-1. Default `a`, `b`,
    /// `c`. Each has a public and a private subnet. More can be added, none changed.
    pub zones: Vec<String>,
    /// NAT gateways by which private subnets reach the internet.
    pub nat: Nat,
}

impl Default for NewNetwork {
    fn default() -> Self {
        Self {
            cidr: "10.0.0.0/16".to_owned(),
            zones: ["a", "b", "c"].map(str::to_owned).to_vec(),
            nat: Nat::Single,
        }
    }
}

/// How private subnets reach the internet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Nat {
    /// Not at all.
    None,
    /// One gateway for all zones: cheaper, and gone with its zone.
    #[default]
    Single,
    /// One gateway a zone.
    PerZone,
}

/// A network that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExistingNetwork {
    /// `vpc-...`.
    pub vpc: String,
    /// Private subnets in two zones or more: `subnet-...`.
    pub private_subnets: Vec<String>,
    /// Public subnets, for load balancers. Default none.
    pub public_subnets: Vec<String>,
    /// Security groups of the servers, by capability: `sg-...`.
    pub security_groups: BTreeMap<Capability, String>,
}

impl ExistingNetwork {
    /// A VPC with these private subnets and no security group.
    pub fn new(vpc: impl Into<String>, private_subnets: impl IntoIterator<Item = String>) -> Self {
        Self {
            vpc: vpc.into(),
            private_subnets: private_subnets.into_iter().collect(),
            ..Self::default()
        }
    }
    /// Sets the security group of a capability's servers.
    pub fn with_security_group(mut self, capability: Capability, group: impl Into<String>) -> Self {
        self.security_groups.insert(capability, group.into());
        self
    }
}

impl Network {
    /// Refuses what no server can lie in.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |key: &str, why: String, help: &str| {
            Err(Error::new(ErrorKind::Invalid, why)
                .with_context("config", format!("aws.network.{key}"))
                .with_help(help))
        };
        match self {
            Self::Create(wanted) => {
                if addresses(&wanted.cidr).is_none() {
                    let why = format!("{:?} is no block of private addresses", wanted.cidr);
                    return refuse("cidr", why, "write a /16 to /20, such as 10.0.0.0/16");
                }
                let mut letters = wanted.zones.clone();
                letters.sort();
                letters.dedup();
                let letter = |zone: &String| zone.len() == 1 && zone.chars().all(|c| ('a'..='h').contains(&c));
                if letters.len() != wanted.zones.len()
                    || !(2..=4).contains(&letters.len())
                    || !letters.iter().all(letter)
                {
                    return refuse(
                        "zones",
                        "not two to four different zones from a to h".to_owned(),
                        "write [a, b, c]",
                    );
                }
                Ok(())
            }
            Self::Existing(there) => {
                if !there.vpc.starts_with("vpc-") {
                    return refuse("vpc", format!("{:?} is no VPC", there.vpc), "write its id, vpc-...");
                }
                let subnet = |id: &String| id.starts_with("subnet-");
                if there.private_subnets.len() < 2 || !there.private_subnets.iter().all(subnet) {
                    return refuse(
                        "private_subnets",
                        "not two or more subnets".to_owned(),
                        "RDS and ElastiCache take subnets in two zones at least: write their ids, subnet-...",
                    );
                }
                Ok(())
            }
        }
    }
}

/// The first address and the prefix length of a block that a VPC of ours can have.
pub(crate) fn addresses(cidr: &str) -> Option<(std::net::Ipv4Addr, u8)> {
    let (address, length) = cidr.split_once('/')?;
    let (address, length): (std::net::Ipv4Addr, u8) = (address.parse().ok()?, length.parse().ok()?);
    let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
    let whole = u32::from(address) & host == 0;
    ((16..=20).contains(&length) && address.is_private() && whole).then_some((address, length))
}

#[cfg(test)]
mod tests {
    use super::{ExistingNetwork, Network, NewNetwork};

    #[test]
    fn networks_that_cannot_be_are_refused() {
        let new = |cidr: &str, zones: &[&str]| {
            Network::Create(NewNetwork {
                cidr: cidr.to_owned(),
                zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
                ..NewNetwork::default()
            })
        };
        let there = |vpc: &str, subnets: &[&str]| {
            Network::Existing(ExistingNetwork::new(vpc, subnets.iter().map(|s| (*s).to_owned())))
        };
        for (network, key) in [
            (Network::default(), None),
            (new("10.0.0.0/20", &["a", "b"]), None),
            (new("10.0.0.1/16", &["a", "b"]), Some("cidr")),
            (new("10.0.0.0/24", &["a", "b"]), Some("cidr")),
            (new("8.8.0.0/16", &["a", "b"]), Some("cidr")),
            (new("10.0.0.0/16", &["a"]), Some("zones")),
            (new("10.0.0.0/16", &["a", "a"]), Some("zones")),
            (new("10.0.0.0/16", &["a", "i"]), Some("zones")),
            (new("10.0.0.0/16", &["eu-west-1a", "b"]), Some("zones")),
            (there("vpc-1", &["subnet-1", "subnet-2"]), None),
            (there("1", &["subnet-1", "subnet-2"]), Some("vpc")),
            (there("vpc-1", &["subnet-1"]), Some("private_subnets")),
        ] {
            let refused = network.check().err().map(|error| error.context()[0].1.clone());
            assert_eq!(refused, key.map(|key| format!("aws.network.{key}")), "{network:?}");
        }
    }
}
