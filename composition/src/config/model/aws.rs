//! The block `aws`: an account and region, and what the platform shares there.

use std::collections::BTreeMap;

use platform_core::Capability;
use platform_core::value::Size;

use crate::config::block::{Reader, block};
use crate::config::problem::Rule;
use crate::config::yaml::Node;

block! {
    /// An account and region, and what the platform shares there.
    AwsConfig {
        /// The account's 12 digits, with quotes. With credentials of another account nothing is read or written.
        account: String;
        /// The region, such as `eu-west-1`. Default: that of the credentials' profile. Another region is another place: what
        /// stands in the first one stays there.
        region: Option<String>;
        /// ARN of the policy that bounds every role made here. Default: none.
        permissions_boundary: Option<String>;
        /// Where servers lie. Default: a VPC made for the platform, which needs the feature `network`; storage and security
        /// need none.
        network: NetworkConfig = NetworkConfig::default();
        /// The EKS cluster in which the platform's own servers run: what `placement` puts on kubernetes. Default: none.
        cluster: Option<ClusterConfig>;
    }

    /// The EKS cluster: `create` or `existing`, not both.
    ClusterConfig {
        /// A cluster made for the platform, and gone with it.
        create: Option<NewClusterConfig>;
        /// Somebody else's, by its name, which is only used.
        existing: Option<String>;
    }

    /// A cluster made for the platform.
    NewClusterConfig {
        /// Minor version of Kubernetes, with quotes. Default: "1.35". Goes up only; nodes and add-ons follow.
        version: String = "1.35".to_owned();
        /// ARNs of the roles and users of IAM that may do everything in it. Who runs `apply` has to be one of them.
        admins: Vec<String>;
        /// Blocks of addresses from which the API server can be reached by the internet. Default: none, by the VPC alone.
        public_access: Vec<String>;
        /// Groups of servers, name -> group. Default: one, `default`.
        nodes: BTreeMap<String, NodeGroupConfig>;
        /// A deletion is refused while this is on. Default: off for dev, on for staging and prod.
        deletion_protection: Option<bool>;
    }

    /// Servers of one sort.
    NodeGroupConfig {
        /// EC2 types in order of preference. Default: [m7i.large].
        instance_types: Vec<String>;
        /// EKS's name of the image, such as `BOTTLEROCKET_ARM_64`. Default: AL2023_x86_64_STANDARD.
        image: Option<String>;
        /// Least servers. Default: 2.
        min: u32 = 2;
        /// Most servers. Default: 4.
        max: u32 = 4;
        /// Disk of each server. Default: 50Gi.
        disk: Option<Size>;
        /// Cheaper servers that AWS takes back with two minutes' notice. Default: off.
        spot: bool = false;
        /// Labels of the nodes.
        labels: BTreeMap<String, String>;
        /// Taints of the nodes, `key=value:NoSchedule`.
        taints: Vec<String>;
    }

    /// Where servers lie: `create` or `existing`, not both.
    NetworkConfig {
        /// A VPC made for the platform, and gone with it. Needs the feature `network`.
        create: Option<NewNetworkConfig>;
        /// Somebody else's, which is only used.
        existing: Option<ExistingNetworkConfig>;
    }

    /// A VPC made for the platform.
    NewNetworkConfig {
        /// Its private addresses, a /16 to /20. Default: 10.0.0.0/16. Cannot be changed.
        cidr: String = "10.0.0.0/16".to_owned();
        /// Letters of two to four availability zones, `a` to `h`: `a` is `eu-west-1a` in eu-west-1. Default: [a, b, c].
        /// Zones can be added, not taken away while something lies there.
        zones: Option<Vec<String>>;
        /// How private subnets reach the internet: `none`, by a `single` NAT gateway, or by one `per_zone`. Default: single
        /// for dev, per_zone for staging and prod.
        nat: Option<NatConfig>;
    }

    /// A network that is there.
    ExistingNetworkConfig {
        /// The VPC, `vpc-...`.
        vpc: String;
        /// Private subnets in two zones or more, `subnet-...`.
        private_subnets: Vec<String>;
        /// Public subnets, `subnet-...`. Default: none.
        public_subnets: Vec<String>;
        /// The security group of a capability's servers, capability -> `sg-...`; `database` and `cache` need one.
        security_groups: BTreeMap<String, String>;
    }
}

/// How private subnets reach the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatConfig {
    /// Not at all.
    None,
    /// One NAT gateway for all zones.
    Single,
    /// One a zone.
    PerZone,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            create: Some(NewNetworkConfig {
                cidr: "10.0.0.0/16".to_owned(),
                zones: None,
                nat: None,
            }),
            existing: None,
        }
    }
}

impl AwsConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if self.account.len() != 12 || !self.account.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("{:?} is no AWS account", self.account);
            reader.refuse_key(
                node,
                Rule::NameSyntax,
                "account",
                message,
                "write its 12 digits, with quotes",
            );
        }
        if let Some(region) = self.region.as_ref().filter(|region| !is_region(region)) {
            let message = format!("{region:?} is no AWS region");
            reader.refuse_key(
                node,
                Rule::NameSyntax,
                "region",
                message,
                "write a region such as eu-west-1",
            );
        }
        let policy =
            |arn: &&String| !(arn.starts_with("arn:aws") && arn.contains(":iam::") && arn.contains(":policy/"));
        if let Some(arn) = self.permissions_boundary.as_ref().filter(policy) {
            let message = format!("{arn:?} is no ARN of an IAM policy");
            let help = "write arn:aws:iam::ACCOUNT:policy/NAME";
            reader.refuse_key(node, Rule::NameSyntax, "permissions_boundary", message, help);
        }
    }
}

impl NetworkConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if self.create.is_some() == self.existing.is_some() {
            let message = "a network is either made or there already";
            reader.refuse(
                Rule::Network,
                node.at,
                "",
                message,
                "write `create: {}`, or `existing:` with its ids",
            );
        }
    }
}

impl ClusterConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if self.create.is_some() == self.existing.is_some() {
            let message = "a cluster is either made or there already";
            let help = "write `create: { admins: [...] }`, or `existing:` with its name";
            reader.refuse(Rule::Cluster, node.at, "", message, help);
        }
    }
}

impl NewClusterConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        let minor = self
            .version
            .split_once('.')
            .map(|(major, minor)| (major, minor.parse::<u32>()));
        if !matches!(minor, Some(("1", Ok(33..)))) {
            let message = format!("{:?} is no version of Kubernetes that is supported", self.version);
            reader.refuse_key(
                node,
                Rule::Cluster,
                "version",
                message,
                "write 1.33 or later, with quotes",
            );
        }
        let principal = |arn: &&String| !(arn.starts_with("arn:aws") && arn.contains(":iam::"));
        if let Some(arn) = self.admins.iter().find(principal) {
            let message = format!("{arn:?} is no ARN of a role or user of IAM");
            reader.refuse_key(
                node,
                Rule::NameSyntax,
                "admins",
                message,
                "write arn:aws:iam::ACCOUNT:role/NAME",
            );
        }
        if self.admins.is_empty() {
            let message = "nobody could use the cluster, not even who makes it";
            let help =
                "name the roles that administer it, that of `apply` among them: [arn:aws:iam::ACCOUNT:role/NAME]";
            reader.refuse_key(node, Rule::Cluster, "admins", message, help);
        }
    }
}

impl NodeGroupConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if self.min > self.max || self.max == 0 {
            let message = format!("{} to {} servers", self.min, self.max);
            reader.refuse_key(
                node,
                Rule::Cluster,
                "max",
                message,
                "write 1 or more, and no less than `min`",
            );
        }
        if self.disk.is_some_and(|disk| disk < Size::gib(20)) {
            reader.refuse_key(
                node,
                Rule::Cluster,
                "disk",
                "too small for a node",
                "write 20Gi or more",
            );
        }
    }
}

impl NewNetworkConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if !is_private_block(&self.cidr) {
            let message = format!("{:?} is no block of private addresses", self.cidr);
            let help = "write a /16 to /20 such as 10.0.0.0/16";
            reader.refuse_key(node, Rule::Network, "cidr", message, help);
        }
        let Some(zones) = &self.zones else { return };
        let letter = |zone: &String| zone.len() == 1 && zone.bytes().all(|b| b.is_ascii_lowercase());
        let different: std::collections::BTreeSet<_> = zones.iter().collect();
        if different.len() != zones.len() || !(2..=4).contains(&zones.len()) || !zones.iter().all(letter) {
            let message = "not two to four different letters of zones";
            reader.refuse_key(node, Rule::Network, "zones", message, "write [a, b, c]");
        }
    }
}

impl ExistingNetworkConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        let mut id = |key: String, value: &str, prefix: &str| {
            let rest = value.strip_prefix(prefix);
            if !rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric())) {
                let message = format!("{value:?} is no id of that kind");
                reader.refuse_key(node, Rule::NameSyntax, &key, message, format!("write {prefix}..."));
            }
        };
        id("vpc".to_owned(), &self.vpc, "vpc-");
        for (key, subnets) in [
            ("private_subnets", &self.private_subnets),
            ("public_subnets", &self.public_subnets),
        ] {
            for (index, subnet) in subnets.iter().enumerate() {
                id(format!("{key}[{index}]"), subnet, "subnet-");
            }
        }
        for (capability, group) in &self.security_groups {
            id(format!("security_groups.{capability}"), group, "sg-");
        }
        if self.private_subnets.len() < 2 {
            let message = "RDS and ElastiCache take subnets in two zones at least";
            let help = "write the ids of two or more";
            reader.refuse_key(node, Rule::Network, "private_subnets", message, help);
        }
        let servers = [Capability::Database, Capability::Cache];
        for capability in self.security_groups.keys() {
            if !servers.iter().any(|known| known.as_str() == capability) {
                let key = format!("security_groups.{capability}");
                reader.refuse_key(
                    node,
                    Rule::UnknownKey,
                    &key,
                    "no servers of that name",
                    "known here: database, cache",
                );
            }
        }
    }
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = parts.last().is_some_and(|last| last.parse::<u8>().is_ok());
    let words = parts
        .iter()
        .rev()
        .skip(1)
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()));
    (3..=4).contains(&parts.len()) && digits && words
}

fn is_private_block(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let (Ok(address), Ok(length)) = (address.parse::<std::net::Ipv4Addr>(), length.parse::<u32>()) else {
        return false;
    };
    let host = u32::MAX.checked_shr(length).unwrap_or(0);
    (16..=20).contains(&length) && address.is_private() && u32::from(address) & host == 0
}
