//! AWS set up as the config says.

#[cfg(feature = "k8s")]
use crate::config::ProviderName;
use crate::config::{AwsConfig, ClusterConfig, NatConfig, NetworkConfig, NodeGroupConfig, PlatformConfig, Rule};
#[cfg(feature = "k8s")]
use crate::lower;
use crate::platform::IntoStack;
use platform_core::{Capability, Environment, Result, Stack};
#[cfg(feature = "k8s")]
use provider_aws::PodRole;
use provider_aws::{Aws, AwsOptions, Cluster, ExistingNetwork, Nat, Network, NewCluster, NewNetwork, NodeGroup};
use std::collections::BTreeMap;
use std::sync::Arc;

impl IntoStack for Aws {
    /// Account, network and roles as the block `aws` says; without one as the options say.
    fn into_stack(self, config: &PlatformConfig) -> Result<Arc<dyn Stack>> {
        let problem = |rule, key: &str, message: &str, help: &str| config.problem(rule, key, message, help);
        let Some(block) = &config.aws else {
            if self.options().account.is_empty() {
                let help = "add `aws: { account: \"...\", region: ... }`";
                return Err(problem(Rule::MissingKey, "aws", "which account is not said", help).into());
            }
            return Ok(Arc::new(self));
        };
        let place = self.place().to_string();
        if let Some(region) = block.region.as_ref().filter(|region| place != format!("aws/{region}")) {
            let message = format!("{region} is not where the connection goes: {place}");
            let help = "connect to that region, or correct it here";
            return Err(problem(Rule::Placement, "aws.region", &message, help).into());
        }
        #[allow(unused_mut)] // without Kubernetes there are no pods
        let mut options = options(block, config.environment);
        #[cfg(feature = "k8s")]
        if let Some(Cluster::Create(cluster)) = &mut options.cluster {
            cluster.pods.extend(pods(config)?);
        }
        #[cfg(feature = "network")]
        let this = self
            .with_kinds(provider_aws_network::kinds())
            .with_lookup(provider_aws_network::lookup());
        #[cfg(not(feature = "network"))]
        let this = self;
        let stack = this
            .with_options(options)
            .map_err(|error| problem(Rule::Network, "aws", error.message(), error.help().unwrap_or_default()))?;
        let Some(region) = copies_in(config) else {
            return Ok(Arc::new(stack));
        };
        let stack = stack.with_copies_in(region).map_err(|error| {
            problem(
                Rule::Placement,
                "backup.copy_to",
                error.message(),
                error.help().unwrap_or_default(),
            )
        })?;
        Ok(Arc::new(stack))
    }
}

/// The region that copies of backups go to.
fn copies_in(config: &PlatformConfig) -> Option<&str> {
    config.backup.as_ref()?.second_region()
}

fn options(block: &AwsConfig, environment: Environment) -> AwsOptions {
    let mut options = AwsOptions::new(&block.account).with_network(network(&block.network, environment));
    options.permissions_boundary.clone_from(&block.permissions_boundary);
    options.cluster = block.cluster.as_ref().and_then(|wanted| cluster(wanted, environment));
    options
}

fn cluster(block: &ClusterConfig, environment: Environment) -> Option<Cluster> {
    if let Some(name) = &block.existing {
        return Some(Cluster::Existing(name.clone()));
    }
    let block = block.create.as_ref()?;
    let mut wanted = NewCluster::default();
    wanted.version.clone_from(&block.version);
    wanted.admins.clone_from(&block.admins);
    wanted.public_access.clone_from(&block.public_access);
    wanted.deletion_protection = block
        .deletion_protection
        .unwrap_or(matches!(environment, Environment::Staging | Environment::Prod));
    if !block.nodes.is_empty() {
        wanted.nodes = block
            .nodes
            .iter()
            .map(|(name, group)| (name.clone(), nodes(group)))
            .collect();
    }
    Some(Cluster::Create(wanted))
}

/// What the platform's own pods call of AWS.
#[cfg(feature = "k8s")]
fn pods(config: &PlatformConfig) -> Result<Option<PodRole>> {
    let inside = config
        .placed(Capability::Monitoring)
        .contains(&ProviderName::Kubernetes);
    if config.monitoring.is_none() || !inside {
        return Ok(None);
    }
    let context = lower::context(config, &lower::specs(config));
    let (namespace, account) = provider_k8s::grafana_account(&context)?;
    Ok(Some(PodRole::metrics_reader(namespace, account)))
}

fn nodes(block: &NodeGroupConfig) -> NodeGroup {
    let mut group = NodeGroup::default();
    if !block.instance_types.is_empty() {
        group.instance_types.clone_from(&block.instance_types);
    }
    if let Some(image) = &block.image {
        group.image.clone_from(image);
    }
    if let Some(disk) = block.disk {
        group.disk_gib = u32::try_from(disk.as_gib_rounded_up()).unwrap_or(u32::MAX);
    }
    (group.min, group.max, group.spot) = (block.min, block.max, block.spot);
    group.labels.clone_from(&block.labels);
    group.taints.clone_from(&block.taints);
    group
}

fn network(block: &NetworkConfig, environment: Environment) -> Network {
    if let Some(there) = &block.existing {
        let mut existing = ExistingNetwork::new(&there.vpc, there.private_subnets.iter().cloned());
        existing.public_subnets.clone_from(&there.public_subnets);
        let named: BTreeMap<&str, Capability> = Capability::ALL.map(|one| (one.as_str(), one)).into();
        for (capability, group) in &there.security_groups {
            if let Some(capability) = named.get(capability.as_str()) {
                existing = existing.with_security_group(*capability, group);
            }
        }
        return Network::Existing(existing);
    }
    let mut wanted = NewNetwork::default();
    wanted.nat = match environment {
        Environment::Local | Environment::Dev => Nat::Single,
        Environment::Staging | Environment::Prod => Nat::PerZone,
    };
    if let Some(block) = &block.create {
        wanted.cidr.clone_from(&block.cidr);
        if let Some(zones) = &block.zones {
            wanted.zones.clone_from(zones);
        }
        wanted.nat = match block.nat {
            None => wanted.nat,
            Some(NatConfig::None) => Nat::None,
            Some(NatConfig::Single) => Nat::Single,
            Some(NatConfig::PerZone) => Nat::PerZone,
        };
    }
    Network::Create(wanted)
}
