//! Ids, names, ARNs and tags that all AWS objects of a blueprint share.

use crate::aws::{Shared, region_of};
use crate::foundation::network;
use crate::kind::s3_bucket;
use crate::names;
use crate::network::Network;
use platform_core::value::{Name, Place, Reference, ResourceId};
use platform_core::{Capability, Context, Error, ErrorKind, Resource, Result};
use serde_json::{Value, json};

/// Draws the resources of one component of a platform.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) context: &'a Context,
    place: &'a Place,
    component: &'static str,
}

impl<'a> Draft<'a> {
    /// Of a capability, or of what all share.
    pub(crate) fn new(shared: &'a Shared, context: &'a Context, component: &'static str) -> Self {
        Self {
            shared,
            context,
            place: shared.place(),
            component,
        }
    }

    /// The same in another region.
    pub(crate) fn at(self, place: &'a Place) -> Self {
        Self { place, ..self }
    }

    /// The region that is drawn.
    pub(crate) fn region(&self) -> &'a str {
        region_of(self.place)
    }

    /// The name of an object: `ml-platform-prod`, or `ml-platform-prod-logs` with a part; shortened to `max`, and as the
    /// config's `names:` says.
    pub(crate) fn name(&self, part: &str, max: usize) -> String {
        let stem = names::stem(self.context);
        let joined = if part.is_empty() {
            stem
        } else {
            format!("{stem}-{part}")
        };
        let fitting = names::fit(&joined, max);
        self.context.name_of(&fitting).to_owned()
    }

    /// The same with a path below the platform: `ml-platform-prod/data`.
    pub(crate) fn path(&self, part: &str) -> String {
        let path = format!("{}/{part}", names::stem(self.context));
        self.context.name_of(&path).to_owned()
    }

    /// The computed name of what the config may give another one, or of a part of it such as `orders-002`.
    pub(crate) fn computed(&self, name: &str) -> String {
        let names = self.context.names.iter();
        let mut computed = names.filter_map(|(computed, given)| {
            let rest = name.strip_prefix(given.as_str())?;
            let own = computed.split_once('/').map_or(computed.as_str(), |(_, own)| own);
            (rest.is_empty() || rest.starts_with('-')).then(|| format!("{own}{rest}"))
        });
        computed.next().unwrap_or_else(|| name.to_owned())
    }

    /// The name of a bucket: in the account's own namespace, where nobody else can take it.
    pub(crate) fn bucket(&self, part: &str) -> String {
        let tail = s3_bucket::account_tail(&self.shared.options.account, self.region());
        let room = s3_bucket::MAX_NAME.saturating_sub(tail.len());
        let name = names::fit(&format!("{}-{part}", names::stem(self.context)), room) + &tail;
        self.called("s3.Bucket", self.context.name_of(&name)).to_owned()
    }

    /// The id of an object at this place, whose name may be another one for its kind.
    pub(crate) fn id(&self, kind: &str, name: &str) -> Result<ResourceId> {
        let name = Name::new(self.called(kind, name))?;
        Ok(ResourceId::new(self.place.clone(), kind.parse()?, name))
    }

    /// The name of an object of a kind, as the config's `names:` says for that kind.
    pub(crate) fn called<'n>(&'n self, kind: &str, name: &'n str) -> &'n str {
        let of_kind = self.context.names.get(&format!("{kind}/{name}"));
        of_kind.map_or(name, String::as_str)
    }

    /// An object, with the caller's tags.
    pub(crate) fn resource(&self, id: ResourceId, mut desired: Value) -> Resource {
        if let (Value::Object(map), false) = (&mut desired, self.context.tags.is_empty()) {
            match map.get_mut("tags") {
                // Those that others go by win.
                Some(Value::Object(tags)) => {
                    for (key, value) in &self.context.tags {
                        tags.entry(key.clone()).or_insert_with(|| json!(value));
                    }
                }
                _ => drop(map.insert("tags".to_owned(), json!(self.context.tags))),
            }
        }
        let left = self.context.left_of(&id);
        Resource::new(id, self.component, desired).with_leave(left)
    }

    /// The ARN of an object of this account and region: `rds`, `db:ml-platform-prod`.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        let region = self.region();
        let account = &self.shared.options.account;
        format!("arn:{}:{service}:{region}:{account}:{resource}", self.partition())
    }

    /// The ARN of an object that lies in no region: roles, buckets, policies of AWS (whose account is `aws`).
    pub(crate) fn global_arn(&self, service: &str, account: &str, resource: &str) -> String {
        format!("arn:{}:{service}::{account}:{resource}", self.partition())
    }

    /// The partition that the region lies in.
    pub(crate) fn partition(&self) -> &'static str {
        names::partition(self.region())
    }

    /// What the names of the partition's hosts and regional services end in.
    pub(crate) fn suffix(&self) -> &'static str {
        names::suffix(self.shared.region())
    }

    /// The ARN of the key that encrypts the platform's data.
    pub(crate) fn data_key(&self) -> Result<Value> {
        Ok(Reference::new(self.id("kms.Key", &self.path(DATA_KEY))?, "arn").to_value())
    }

    /// The private subnets.
    pub(crate) fn private_subnets(&self) -> Result<Vec<Value>> {
        match &self.shared.options.network {
            Network::Existing(there) => Ok(there.private_subnets.iter().map(|id| json!(id)).collect()),
            Network::Create(wanted) => {
                self.makes_networks()?;
                network::subnets(self, wanted, network::Tier::Private)
            }
        }
    }

    /// The security group of a capability's servers.
    pub(crate) fn security_group(&self, capability: Capability) -> Result<Value> {
        match &self.shared.options.network {
            Network::Existing(there) => match there.security_groups.get(&capability) {
                Some(group) => Ok(json!(group)),
                None => Err(
                    Error::new(ErrorKind::Invalid, format!("no security group for the {capability}"))
                        .with_context("config", "aws.network.security_groups")
                        .with_help(format!("add `{capability}: sg-...`, or let the network be made")),
                ),
            },
            Network::Create(_) => {
                self.makes_networks()?;
                network::group(self, capability)
            }
        }
    }

    /// Refuses to make a network where its kinds are not known.
    pub(crate) fn makes_networks(&self) -> Result<()> {
        if self.shared.knows(&"ec2.Vpc".parse()?) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "this stack has not the kinds to make a network")
            .with_context("config", "aws.network")
            .with_help(
                "name one that is there: `existing: { vpc, private_subnets, security_groups }`; or add the crate provider-aws-network (feature `network` of composition)",
            ))
    }
}

/// The key that encrypts the platform's data.
pub(crate) const DATA_KEY: &str = "data";
