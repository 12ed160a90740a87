//! The EKS cluster of a platform: made with it, or one that is there.

use platform_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The cluster in which a platform's own servers run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cluster {
    /// Made with the platform and gone with it.
    Create(NewCluster),
    /// Somebody else's, by its name: only used.
    Existing(String),
}

/// A cluster made for the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NewCluster {
    /// Minor version of Kubernetes. Default `1.35`. Goes up only; nodes and add-ons follow.
    pub version: String,
    /// ARNs of the roles and users of IAM that may do everything in it. Whoever applies the platform has to be one of them.
    pub admins: Vec<String>,
    /// Blocks of addresses from which the API server can be reached by the internet. Default none: by the VPC alone.
    pub public_access: Vec<String>,
    /// Groups of servers by name. Default one, `default`.
    pub nodes: BTreeMap<String, NodeGroup>,
    /// A deletion is refused while this is on. Default off.
    pub deletion_protection: bool,
    /// What pods of the platform may call.
    pub pods: Vec<PodRole>,
}

impl Default for NewCluster {
    fn default() -> Self {
        Self {
            version: "1.35".to_owned(),
            admins: Vec::new(),
            public_access: Vec::new(),
            nodes: BTreeMap::from([("default".to_owned(), NodeGroup::default())]),
            deletion_protection: false,
            pods: Vec::new(),
        }
    }
}

/// Servers of one sort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NodeGroup {
    /// Types in order of preference. Default `m7i.large`.
    pub instance_types: Vec<String>,
    /// Default `AL2023_x86_64_STANDARD`.
    pub image: String,
    /// Least servers. Default 2.
    pub min: u32,
    /// Most servers. Default 4.
    pub max: u32,
    /// Of each server's disk, in GiB. Default 50.
    pub disk_gib: u32,
    /// Cheaper servers that AWS takes back with two minutes' notice. Default off.
    pub spot: bool,
    /// Labels of its nodes.
    pub labels: BTreeMap<String, String>,
    /// Taints of its nodes: `key=value:NoSchedule`.
    pub taints: Vec<String>,
}

impl Default for NodeGroup {
    fn default() -> Self {
        Self {
            instance_types: vec!["m7i.large".to_owned()],
            image: "AL2023_x86_64_STANDARD".to_owned(),
            min: 2,
            max: 4,
            disk_gib: 50,
            spot: false,
            labels: BTreeMap::new(),
            taints: Vec::new(),
        }
    }
}

/// A role that the pods of a service account act by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PodRole {
    /// Part of the role's name: `grafana`.
    pub name: String,
    /// Where the service account is.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// Statements of IAM, as JSON.
    pub statements: Vec<Value>,
}

impl PodRole {
    /// Lets a service account read metrics, alarms and logs: what a CloudWatch data source of Grafana needs.
    pub fn metrics_reader(namespace: impl Into<String>, service_account: impl Into<String>) -> Self {
        Self {
            name: "metrics-reader".to_owned(),
            namespace: namespace.into(),
            service_account: service_account.into(),
            // https://grafana.com/docs/grafana/latest/datasources/aws-cloudwatch/configure/. Metrics have no resource level; logs are
            // those of every group, since people choose them in Grafana.
            statements: vec![json!({
                "Effect": "Allow",
                "Action": [
                    "cloudwatch:DescribeAlarms",
                    "cloudwatch:DescribeAlarmsForMetric",
                    "cloudwatch:DescribeAlarmHistory",
                    "cloudwatch:GetInsightRuleReport",
                    "cloudwatch:GetMetricData",
                    "cloudwatch:ListMetrics",
                    "ec2:DescribeRegions",
                    "ec2:DescribeTags",
                    "logs:DescribeLogGroups",
                    "logs:GetLogGroupFields",
                    "logs:GetLogEvents",
                    "logs:GetQueryResults",
                    "logs:StartQuery",
                    "logs:StopQuery",
                    "tag:GetResources",
                ],
                "Resource": "*",
            })],
        }
    }
}

impl Cluster {
    /// Refuses what no cluster can be.
    pub(crate) fn check(&self) -> Result<()> {
        let Self::Create(wanted) = self else { return Ok(()) };
        let refuse = |key: &str, why: &str, help: &str| {
            Err(Error::new(ErrorKind::Invalid, why)
                .with_context("config", format!("aws.cluster.create{key}"))
                .with_help(help))
        };
        if wanted.admins.is_empty() {
            return refuse(
                ".admins",
                "nobody could use the cluster, not even who makes it",
                "name the roles of IAM that administer it, that of `apply` among them: arn:aws:iam::ACCOUNT:role/NAME",
            );
        }
        let principal = |arn: &String| arn.contains(":iam::") && (arn.contains(":role/") || arn.contains(":user/"));
        if !wanted.admins.iter().all(principal) {
            return refuse(
                ".admins",
                "no ARN of a role or user of IAM",
                "write arn:aws:iam::ACCOUNT:role/NAME; a session (assumed-role) is not one",
            );
        }
        if wanted.nodes.is_empty() {
            return refuse(
                ".nodes",
                "a cluster without servers",
                "name a group, such as `default: {}`",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cluster, NewCluster};

    #[test]
    fn somebody_can_use_a_cluster_that_has_servers() {
        let with = |admins: &[&str]| NewCluster {
            admins: admins.iter().map(|arn| (*arn).to_owned()).collect(),
            ..NewCluster::default()
        };
        let role = "arn:aws:iam::111111111111:role/Admin";
        let mut bare = with(&[role]);
        bare.nodes.clear();
        for (wanted, good) in [
            (with(&[role]), true),
            (with(&[]), false),
            (with(&["arn:aws:sts::111111111111:assumed-role/Admin/me"]), false),
            (bare, false),
        ] {
            assert_eq!(Cluster::Create(wanted.clone()).check().is_ok(), good, "{wanted:?}");
        }
    }
}
