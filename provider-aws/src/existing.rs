//! Networks that others made: what a plan is about to use of one is there, lies in one VPC, and is what its servers need.
//!
//! EC2's SDK is not in this crate: who looks is given to the provider.

use crate::kind::AnyKind;
use crate::provider::Scope;
use async_trait::async_trait;
use platform_core::{Error, ErrorKind, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

const HELP: &str = "correct the ids under `aws.network.existing`, or the network";

/// Looks at networks that others made. `provider-aws-network` has one.
#[async_trait]
pub trait Lookup: Debug + Send + Sync {
    /// What is there of these; ids that nothing has are left out.
    ///
    /// # Errors
    /// When it cannot be asked.
    async fn look(&self, scope: &Scope<'_>, asked: &Asked) -> Result<Sites>;
}

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// Ids of subnets.
    pub subnets: BTreeSet<String>,
    /// Ids of security groups.
    pub security_groups: BTreeSet<String>,
    /// Whether [`Subnet::named`] counts.
    pub names: bool,
    /// Whether [`Subnet::leads_out`] counts.
    pub ways_out: bool,
    /// Those of the ids that nothing of the platform uses yet.
    new: BTreeSet<String>,
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sites {
    /// By id.
    pub subnets: BTreeMap<String, Subnet>,
    /// Each with its VPC.
    pub security_groups: BTreeMap<String, String>,
}

/// A subnet that others made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Where it lies.
    pub vpc: String,
    /// The availability zone.
    pub zone: String,
    /// Addresses that are free.
    pub free: i32,
    /// Whether its VPC resolves names, and gives host names.
    pub named: bool,
    /// Whether it has a route to everywhere.
    pub leads_out: bool,
}

/// What a kind needs of the subnets that it names.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    zones: usize,
    addresses: i32,
    names: bool,
    way_out: bool,
}

impl Needs {
    /// Nothing but that they are there.
    pub const NOTHING: Self = Self {
        zones: 1,
        addresses: 0,
        names: false,
        way_out: false,
    };

    /// Sets how many zones they lie in at least.
    pub const fn zones(mut self, zones: usize) -> Self {
        self.zones = zones;
        self
    }
    /// Sets how many addresses are free in each at least.
    pub const fn addresses(mut self, addresses: i32) -> Self {
        self.addresses = addresses;
        self
    }
    /// Wants a VPC that resolves names and gives host names.
    pub const fn names(mut self) -> Self {
        self.names = true;
        self
    }
    /// Warns of a subnet from which no route leads out.
    pub const fn way_out(mut self) -> Self {
        self.way_out = true;
        self
    }
}

impl Asked {
    /// Adds what a wish names, if its object, where there is one, does not use all of it already.
    pub(crate) fn add(&mut self, kind: &dyn AnyKind, wish: &Value, live: Option<&Value>) {
        let used: BTreeSet<&str> = live.into_iter().flat_map(named).map(|(_, id)| id).collect();
        let new = named(wish).map(|(_, id)| id).filter(|id| !used.contains(id));
        let new: BTreeSet<String> = new.map(str::to_owned).collect();
        for (_, id) in named(wish).filter(|_| !new.is_empty()) {
            if id.starts_with(SUBNET) {
                self.subnets.insert(id.to_owned());
                self.names |= kind.needs().names;
                self.ways_out |= kind.needs().way_out;
            } else {
                self.security_groups.insert(id.to_owned());
            }
        }
        self.new.extend(new);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subnets.is_empty() && self.security_groups.is_empty()
    }

    fn asks(&self, id: &str) -> bool {
        self.subnets.contains(id) || self.security_groups.contains(id)
    }
}

const SUBNET: &str = "subnet-";
const GROUP: &str = "sg-";

/// Ids of subnets and security groups in the settings of an object, each with the setting. The objects of EC2 are made with
/// their network, or not at all.
fn named(settings: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = settings.as_object().into_iter().flatten();
    all.flat_map(|(setting, value)| {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let ids = items.iter().filter_map(Value::as_str);
        ids.filter(|id| id.starts_with(SUBNET) || id.starts_with(GROUP))
            .map(move |id| (setting.as_str(), id))
    })
}

/// What was looked at, with what was found.
#[derive(Clone, Debug)]
pub(crate) struct Surveyed {
    pub(crate) asked: Asked,
    pub(crate) sites: Sites,
}

impl Surveyed {
    /// Refuses a wish that names what is not there or does not fit; warnings for people otherwise.
    pub(crate) fn check(&self, kind: &dyn AnyKind, wish: &Value) -> Result<Vec<String>> {
        let refuse = |kind: ErrorKind, what: String| Err(Error::new(kind, what).with_help(HELP));
        let vpc = self.sites.subnets.values().next().map(|subnet| subnet.vpc.as_str());
        let (needs, mut warnings, mut subnets) = (kind.needs(), Vec::new(), BTreeMap::new());
        for (setting, id) in named(wish).filter(|(_, id)| self.asked.asks(id)) {
            let lies = match self.sites.subnets.get(id) {
                Some(subnet) => {
                    subnets.insert(id, subnet);
                    Some(&subnet.vpc)
                }
                None => self.sites.security_groups.get(id),
            };
            match (lies, vpc) {
                (None, _) => {
                    return refuse(
                        ErrorKind::NotFound,
                        format!("{setting}: {id} is not in this account and region"),
                    );
                }
                (Some(lies), Some(vpc)) if lies != vpc => {
                    return refuse(
                        ErrorKind::Invalid,
                        format!("{setting}: {id} lies in {lies}, other parts of the platform in {vpc}"),
                    );
                }
                _ => {}
            }
        }
        for (id, subnet) in &subnets {
            if self.asked.new.contains(*id) && subnet.free < needs.addresses {
                let (free, least) = (subnet.free, needs.addresses);
                return refuse(
                    ErrorKind::Invalid,
                    format!("{id} has {free} free addresses, {least} are needed"),
                );
            }
            if needs.names && !subnet.named {
                let vpc = &subnet.vpc;
                return refuse(
                    ErrorKind::Invalid,
                    format!("{vpc} has DNS support or DNS host names off: servers would not find the cluster"),
                );
            }
            if needs.way_out && !subnet.leads_out {
                warnings.push(format!(
                    "{id} has no route to everywhere: servers there come up only where VPC endpoints lead to EKS, EC2, ECR, S3 and STS"
                ));
            }
        }
        let zones: BTreeSet<&str> = subnets.values().map(|subnet| subnet.zone.as_str()).collect();
        if !subnets.is_empty() && zones.len() < needs.zones {
            let (all, least) = (zones.into_iter().collect::<Vec<_>>().join(", "), needs.zones);
            return refuse(
                ErrorKind::Invalid,
                format!("its subnets lie in {all} alone, {least} zones are needed"),
            );
        }
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Sites, Subnet, Surveyed};
    use crate::kind::Kinds;
    use serde_json::json;

    #[test]
    fn what_stands_takes_a_subnet_more() {
        let kinds = Kinds::default();
        let kind = kinds.find(&"eks.Cluster".parse().unwrap()).unwrap();
        for (new, free, refused) in [("subnet-c", 9, false), ("subnet-c", 2, true), ("subnet-d", 9, true)] {
            let wish = json!({ "subnets": ["subnet-a", "subnet-b", new] });
            let mut asked = Asked::default();
            asked.add(kind, &wish, Some(&json!({ "subnets": ["subnet-a", "subnet-b"] })));
            // Those in use are full, and it is their zones that count.
            let subnets = [("a", 0), ("b", 0), ("c", free)].map(|(name, free)| {
                let subnet = Subnet {
                    vpc: "vpc-1".to_owned(),
                    zone: name.replace('c', "a"),
                    free,
                    named: true,
                    leads_out: true,
                };
                (format!("subnet-{name}"), subnet)
            });
            let sites = Sites {
                subnets: subnets.into(),
                ..Sites::default()
            };
            let surveyed = Surveyed { asked, sites };
            assert_eq!(surveyed.check(kind, &wish).is_err(), refused, "{new}");
        }
        let mut asked = Asked::default();
        let wish = json!({ "subnets": ["subnet-a", "subnet-b"] });
        asked.add(kind, &wish, Some(&wish));
        assert!(asked.is_empty(), "what stands is not looked at");
    }
}
