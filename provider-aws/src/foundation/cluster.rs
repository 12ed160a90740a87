//! A cluster with what it needs: roles, its log group, add-ons, servers, and who may use it.

use super::{network, retention};
use crate::cluster::{Cluster, NewCluster, NodeGroup, PodRole};
use crate::draft::Draft;
use crate::kind::eks_cluster::KIND;
use crate::roles;
use platform_core::value::{Digest, ResourceId};
use platform_core::{Error, ErrorKind, Holds, Resource, Result};
use serde_json::{Value, json};

/// Longest name of a cluster.
const MAX_NAME: usize = 100;
/// The role that the control plane acts by.
const CONTROL: &str = "cluster";
/// The role that servers act by.
const SERVERS: &str = "nodes";
/// Longest name of a node group.
const MAX_NODES: usize = 63;

/// The id of the cluster, made or not.
pub(crate) fn id(draft: &Draft<'_>) -> Result<ResourceId> {
    draft.id(KIND, &draft.name("", MAX_NAME))
}

/// What an existing or a new cluster of the options brings along.
pub(crate) fn resources(draft: &Draft<'_>) -> Result<Vec<Resource>> {
    match &draft.shared.options.cluster {
        Some(Cluster::Create(wanted)) => New {
            draft,
            wanted,
            cluster: id(draft)?,
        }
        .resources(),
        Some(Cluster::Existing(_)) | None => Ok(Vec::new()),
    }
}

struct New<'a> {
    draft: &'a Draft<'a>,
    wanted: &'a NewCluster,
    cluster: ResourceId,
}

impl New<'_> {
    fn resources(&self) -> Result<Vec<Resource>> {
        let draft = self.draft;
        let control = draft.role(
            CONTROL,
            &roles::services(&["eks.amazonaws.com"]),
            &[],
            &[draft.managed_policy("AmazonEKSClusterPolicy")],
        )?;
        let servers = draft.role(
            SERVERS,
            &roles::services(&[&format!("ec2.{}", draft.suffix())]),
            &[],
            // The network's own rights are the add-on's, not every pod's that can reach its server.
            &["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"].map(|name| draft.managed_policy(name)),
        )?;
        let logs = self.logs()?;
        let cluster = self.cluster(&control, &logs)?;
        let mut resources = vec![logs, cluster];
        resources.extend(self.admins()?);
        // Pods have no address without the first two, and no role of their own without the third.
        let [network, network_role] = self.pods_role(
            "network",
            "kube-system",
            "aws-node",
            &["AmazonEKS_CNI_Policy"],
            Vec::new(),
        )?;
        let early = [
            self.addon("eks-pod-identity-agent", None, &[])?,
            self.addon("kube-proxy", None, &[])?,
            // NetworkPolicies are nothing but words without this.
            self.addon(
                "vpc-cni",
                Some(&json!({"enableNetworkPolicy": "true"})),
                std::slice::from_ref(&network.id),
            )?,
        ];
        let before: Vec<ResourceId> = early.iter().map(|addon| addon.id.clone()).collect();
        let mut nodes = Vec::new();
        for (name, group) in &self.wanted.nodes {
            nodes.push(self.nodes(name, group, &servers, &before)?);
        }
        let on_nodes: Vec<ResourceId> = nodes.iter().map(|group| group.id.clone()).collect();
        let [volumes, volumes_role] = self.pods_role(
            "volumes",
            "kube-system",
            "ebs-csi-controller-sa",
            &["service-role/AmazonEBSCSIDriverPolicy"],
            self.volumes()?,
        )?;
        let mut with_volumes = on_nodes.clone();
        with_volumes.push(volumes.id.clone());
        let late = [
            self.addon("coredns", None, &on_nodes)?,
            self.addon("metrics-server", None, &on_nodes)?,
            self.addon("aws-ebs-csi-driver", None, &with_volumes)?,
        ];
        resources.extend([control, servers, network, network_role, volumes, volumes_role]);
        resources.extend(early.into_iter().chain(nodes).chain(late));
        for pod in &self.wanted.pods {
            let PodRole {
                name,
                namespace,
                service_account,
                statements,
            } = pod;
            resources.extend(self.pods_role(name, namespace, service_account, &[], statements.clone())?);
        }
        Ok(resources)
    }

    fn name(&self) -> &str {
        self.cluster.name().as_str()
    }

    /// Of something that belongs to the cluster.
    fn id(&self, kind: &str, own: &str) -> Result<ResourceId> {
        self.draft.id(kind, &format!("{}/{own}", self.name()))
    }

    fn part(&self, id: ResourceId, desired: Value) -> Resource {
        self.draft.resource(id, desired).with_after(self.cluster.clone())
    }

    /// What the control plane writes into, made first: EKS would make it without retention and key.
    fn logs(&self) -> Result<Resource> {
        let days = retention(self.draft.context.environment);
        let id = self
            .draft
            .id("logs.LogGroup", &format!("aws/eks/{}/cluster", self.name()))?;
        let desired = json!({"retention_days": days, "kms_key": self.draft.data_key()?});
        Ok(self.draft.resource(id, desired).with_holds(Holds::Durable))
    }

    fn cluster(&self, role: &Resource, logs: &Resource) -> Result<Resource> {
        let desired = json!({
            "version": self.wanted.version,
            "role": self.draft.role_arn(CONTROL),
            "subnets": self.draft.private_subnets()?,
            "public_access": self.wanted.public_access,
            "secrets_key": self.draft.data_key()?,
            "deletion_protection": self.wanted.deletion_protection,
        });
        let cluster = self.draft.resource(self.cluster.clone(), desired);
        Ok(cluster.with_after(role.id.clone()).with_after(logs.id.clone()))
    }

    fn admins(&self) -> Result<Vec<Resource>> {
        let entry = |arn: &String| {
            let own = arn.split_once(":iam::").and_then(|(_, rest)| rest.split_once(':'));
            let Some((account, principal)) = own else {
                return Err(Error::new(ErrorKind::Invalid, format!("{arn:?} is no principal")));
            };
            let id = self.id("eks.AccessEntry", &format!("{account}/{principal}"))?;
            Ok(self.part(id, json!({"policies": {"AmazonEKSClusterAdminPolicy": []}})))
        };
        self.wanted.admins.iter().map(entry).collect()
    }

    fn addon(&self, name: &str, configuration: Option<&Value>, after: &[ResourceId]) -> Result<Resource> {
        let mut desired = json!({"kubernetes": self.wanted.version});
        if let Some(values) = configuration {
            desired["configuration"] = json!(values.to_string());
        }
        let addon = self.part(self.id("eks.Addon", name)?, desired);
        Ok(after.iter().cloned().fold(addon, Resource::with_after))
    }

    /// A group's name ends in a hash of what cannot change: another sort of servers is another group beside it, and the old
    /// one goes once the new one is ready.
    fn nodes(&self, name: &str, group: &NodeGroup, role: &Resource, after: &[ResourceId]) -> Result<Resource> {
        let subnets = self.draft.private_subnets()?;
        let fixed = json!([group.instance_types, group.image, group.disk_gib, group.spot, subnets]);
        let hash = Digest::of_value(&fixed);
        let own = crate::names::fit(&format!("{name}-{}", hash.short(6)), MAX_NODES);
        let desired = json!({
            "version": self.wanted.version,
            "role": self.draft.role_arn(SERVERS),
            "subnets": subnets,
            "instance_types": group.instance_types,
            "image": group.image,
            "disk_gib": group.disk_gib,
            "spot": group.spot,
            "min": group.min,
            "max": group.max,
            "labels": group.labels,
            "taints": group.taints,
        });
        let nodes = self
            .part(self.id("eks.Nodegroup", &own)?, desired)
            .with_after(role.id.clone());
        let ways = network::ways(self.draft)?;
        Ok(after.iter().cloned().chain(ways).fold(nodes, Resource::with_after))
    }

    /// The service account whose pods act by a role, and the role: by policies of AWS, by statements of its own, or both.
    fn pods_role(
        &self,
        part: &str,
        namespace: &str,
        account: &str,
        managed: &[&str],
        statements: Vec<Value>,
    ) -> Result<[Resource; 2]> {
        let draft = self.draft;
        let managed: Vec<String> = managed.iter().map(|policy| draft.managed_policy(policy)).collect();
        let inline: Vec<(&str, Vec<Value>)> = if statements.is_empty() {
            Vec::new()
        } else {
            vec![(part, statements)]
        };
        let role = draft.role(part, &roles::pods(&draft.shared.options.account), &inline, &managed)?;
        let id = self.id("eks.PodIdentityAssociation", &format!("{namespace}/{account}"))?;
        let association = self.part(id, json!({"role": draft.role_arn(part)}));
        Ok([association.with_after(role.id.clone()), role])
    }

    /// What the driver of volumes may do: volumes are encrypted with the data's key.
    fn volumes(&self) -> Result<Vec<Value>> {
        let key = self.draft.data_key()?;
        Ok(vec![
            json!({"Sid": "Use", "Effect": "Allow", "Resource": key,
                    "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]}),
            json!({"Sid": "Grant", "Effect": "Allow", "Resource": key, "Action": ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
                    "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}}}),
        ])
    }
}
