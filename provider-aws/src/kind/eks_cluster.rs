//! `eks.Cluster`: a control plane of Kubernetes. Who may use it is said by access entries alone, what runs in its nodes by
//! add-ons; neither is made along with it.

use super::eks::{self, MAX_CLUSTER, NO_SUCH, Waited};
use super::{AwsKind, Found, Limit, Reach, Room, yes};
use crate::client::Clients;
use crate::error::Outcome;
use crate::existing::Needs;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_eks::types::{
    AuthenticationMode, Cluster as SdkCluster, ClusterHealth, ClusterIssueCode, CreateAccessConfigRequest,
    EncryptionConfig, LogSetup, LogType, Logging, Provider as KeyProvider, SupportType, UpgradePolicyRequest,
    VpcConfigRequest,
};
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Equal, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, NameRule, Result, Risk,
    RiskRule, State, Updating,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Cluster;

pub(crate) const KIND: &str = "eks.Cluster";

static FACTS: KindFacts = KindFacts {
    kind: KIND,
    // Its contents are objects of their own.
    holds: Holds::Rebuildable,
    // After its nodes, add-ons and entries; before the role, the key, the log group and the network.
    rank: 40,
    name: NameRule {
        max: MAX_CLUSTER,
        charset: Charset::AwsIdentifier,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(40),
    usually: Duration::from_mins(10),
    taken: "",
    removal: None,
    outputs: &["arn", "certificate_authority", "endpoint", "name", "security_group"],
    fields: &[
        // Up only, one minor version at a time, and never back.
        Field::new("version").risk(RiskRule::Always(Risk::Irreversible)),
        Field::new("role").names("iam.Role").changes(FieldChange::Never),
        Field::new("subnets").names("ec2.Subnet").equal(Equal::Set),
        Field::new("security_groups")
            .names("ec2.SecurityGroup")
            .equal(Equal::Set),
        Field::new("private_access").risk(RiskRule::TurnsOff(Risk::Downtime)),
        Field::new("public_access")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("logs")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("secrets_key").names("kms.Key").changes(FieldChange::Never),
        Field::new("authentication").changes(FieldChange::Never),
        Field::new("deletion_protection")
            .protects()
            .risk(RiskRule::TurnsOff(Risk::LowersProtection)),
    ],
    calls: Calls {
        read: &["eks:DescribeCluster", "eks:ListClusters"],
        create: &[
            "eks:CreateCluster",
            "eks:TagResource",
            "eks:UntagResource",
            "iam:PassRole",
            "iam:GetRole",
            "iam:CreateServiceLinkedRole",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "kms:DescribeKey",
            "kms:CreateGrant",
        ],
        update: &[
            "eks:UpdateClusterConfig",
            "eks:UpdateClusterVersion",
            "eks:DescribeUpdate",
            "eks:TagResource",
            "eks:UntagResource",
        ],
        delete: &["eks:DeleteCluster"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// The minor version: `1.35`.
    version: String,
    /// ARN of the role that the control plane acts by.
    role: String,
    /// Subnets in two zones or more.
    subnets: Vec<String>,
    /// Beside the one that EKS makes.
    #[serde(default)]
    security_groups: Vec<String>,
    /// The API server has an address in the VPC.
    #[serde(default = "yes")]
    private_access: bool,
    /// Blocks of addresses from which the API server can be reached by the internet. Empty: not at all.
    #[serde(default)]
    public_access: Vec<String>,
    /// Logs of the control plane that go to `/aws/eks/<name>/cluster`. Default: all.
    #[serde(default = "all_logs")]
    logs: Vec<String>,
    /// ARN of the key by which Secrets are encrypted once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secrets_key: Option<String>,
    #[serde(default)]
    authentication: Authentication,
    /// A deletion is refused while this is on.
    #[serde(default)]
    deletion_protection: bool,
    /// What happens when standard support of the version ends.
    #[serde(default)]
    support: Support,
}

/// Where who may use a cluster is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Authentication {
    /// In access entries.
    #[default]
    Api,
    /// Only shown, of clusters that others made: in the ConfigMap `aws-auth`, too.
    ApiAndConfigMap,
    /// Only shown, of clusters that others made.
    ConfigMap,
}

/// What happens when standard support of a version ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Support {
    /// The cluster is upgraded.
    #[default]
    Standard,
    /// It stays, for about six times the price.
    Extended,
}

const LOGS: &[&str] = &["api", "audit", "authenticator", "controllerManager", "scheduler"];
/// What a public endpoint without blocks is open to.
const EVERYBODY: &str = "0.0.0.0/0";

fn all_logs() -> Vec<String> {
    LOGS.iter().map(|log| (*log).to_owned()).collect()
}

#[async_trait]
impl AwsKind for Cluster {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["eks:{region}:{account}:cluster/{name}"]).births(&["eks:CreateCluster"]);
    const LIMITS: &'static [Limit] = &[Limit::new("logs.*", "eks:LogType").words(LOGS)];
    // https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    const NEEDS: Needs = Needs::NOTHING.zones(2).addresses(6).names();
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let refuse = |why: String, help: &str| Err(Error::new(ErrorKind::Invalid, why).with_help(help));
        eks::check_version(&wanted.version)?;
        if wanted.authentication != Authentication::Api {
            return refuse(
                "a cluster whose users stand in a ConfigMap".to_owned(),
                "leave `authentication` out: access entries say who may use it",
            );
        }
        if !wanted.private_access && wanted.public_access.is_empty() {
            return refuse(
                "an API server that nobody can reach".to_owned(),
                "leave `private_access` on, or name blocks of addresses in `public_access`",
            );
        }
        for list in [
            &mut wanted.subnets,
            &mut wanted.security_groups,
            &mut wanted.public_access,
            &mut wanted.logs,
        ] {
            list.sort();
            list.dedup();
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let answer = scope.clients.eks.describe_cluster().name(name).send().await;
        let answer = answer.absent("eks:DescribeCluster", NO_SUCH)?;
        Ok(answer.and_then(|answer| found(name, answer.cluster()?)))
    }

    async fn room(scope: &Scope<'_>) -> Result<Option<Room>> {
        let used = eks::clusters(scope).await?.len();
        scope.room("eks", "L-1194D53C", "EKS clusters", used).await
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        eks::clusters(scope).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let keys = wanted.secrets_key.as_deref().map(|arn| vec![encryption(arn)]);
        scope
            .clients
            .eks
            .create_cluster()
            .name(name)
            .version(&wanted.version)
            .role_arn(&wanted.role)
            .resources_vpc_config(
                endpoints(wanted)
                    .set_subnet_ids(Some(wanted.subnets.clone()))
                    .set_security_group_ids(Some(wanted.security_groups.clone()))
                    .build(),
            )
            .logging(logging(wanted))
            .set_encryption_config(keys)
            .access_config(
                CreateAccessConfigRequest::builder()
                    .authentication_mode(AuthenticationMode::Api)
                    // Whoever makes it is no administrator for ever: the entries say who is.
                    .bootstrap_cluster_creator_admin_permissions(false)
                    .build(),
            )
            .bootstrap_self_managed_addons(false)
            .upgrade_policy(upgrades(wanted))
            .deletion_protection(wanted.deletion_protection)
            .client_request_token(token)
            .set_tags(Some(eks::sdk_tags(&tags::born(tags))))
            .send()
            .await
            .during("eks:CreateCluster")
            .map(drop)
    }

    /// One kind of change at a time: EKS takes no two in one call, and none while another is under way.
    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (eks, have) = (&scope.clients.eks, &found.settings);
        let target = Waited {
            cluster: name,
            nodegroup: None,
            addon: None,
        };
        let config = || eks.update_cluster_config().name(name);
        let mut calls = Vec::new();
        if have.subnets != wanted.subnets || have.security_groups != wanted.security_groups {
            let vpc = VpcConfigRequest::builder()
                .set_subnet_ids(Some(wanted.subnets.clone()))
                .set_security_group_ids(Some(wanted.security_groups.clone()));
            calls.push(config().resources_vpc_config(vpc.build()));
        }
        if have.private_access != wanted.private_access || have.public_access != wanted.public_access {
            calls.push(config().resources_vpc_config(endpoints(wanted).build()));
        }
        if have.logs != wanted.logs {
            calls.push(config().logging(logging(wanted)));
        }
        if have.support != wanted.support {
            calls.push(config().upgrade_policy(upgrades(wanted)));
        }
        if have.deletion_protection != wanted.deletion_protection {
            calls.push(config().deletion_protection(wanted.deletion_protection));
        }
        for call in calls {
            let answer = call.send().await.during("eks:UpdateClusterConfig")?;
            target.until_updated(scope, answer.update()).await?;
        }
        if have.version != wanted.version {
            for version in eks::steps(&have.version, &wanted.version) {
                let call = eks.update_cluster_version().name(name).version(version);
                let answer = call.send().await.during("eks:UpdateClusterVersion")?;
                target.until_updated(scope, answer.update()).await?;
            }
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        eks::retag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        if matches!(found.state, State::Deleting { .. }) {
            return Ok(());
        }
        if found.settings.deletion_protection {
            return Err(super::protected());
        }
        let call = scope.clients.eks.delete_cluster().name(found.name());
        call.send().await.absent("eks:DeleteCluster", NO_SUCH).map(drop)
    }
}

#[allow(deprecated)] // EKS encrypts everything since 1.28, but still asks what to encrypt
fn encryption(key: &str) -> EncryptionConfig {
    EncryptionConfig::builder()
        .resources("secrets")
        .provider(KeyProvider::builder().key_arn(key).build())
        .build()
}

/// What others refer to of a cluster, whoever made it.
pub(crate) async fn outputs(clients: &Clients, name: &str) -> Result<Option<BTreeMap<String, Value>>> {
    let answer = clients.eks.describe_cluster().name(name).send().await;
    let answer = answer.absent("eks:DescribeCluster", NO_SUCH)?;
    Ok(answer.and_then(|answer| Some(found(name, answer.cluster()?)?.outputs)))
}

fn endpoints(wanted: &Desired) -> aws_sdk_eks::types::builders::VpcConfigRequestBuilder {
    let public = !wanted.public_access.is_empty();
    VpcConfigRequest::builder()
        .endpoint_private_access(wanted.private_access)
        .endpoint_public_access(public)
        .set_public_access_cidrs(public.then(|| wanted.public_access.clone()))
}

fn logging(wanted: &Desired) -> Logging {
    let setup = |on: bool| {
        let types = LOGS
            .iter()
            .filter(|log| wanted.logs.iter().any(|wanted| wanted == *log) == on);
        let types: Vec<LogType> = types.map(|log| LogType::from(*log)).collect();
        (!types.is_empty()).then(|| LogSetup::builder().set_types(Some(types)).enabled(on).build())
    };
    Logging::builder()
        .set_cluster_logging(Some([setup(true), setup(false)].into_iter().flatten().collect()))
        .build()
}

fn upgrades(wanted: &Desired) -> UpgradePolicyRequest {
    UpgradePolicyRequest::builder()
        .support_type(match wanted.support {
            Support::Standard => SupportType::Standard,
            Support::Extended => SupportType::Extended,
        })
        .build()
}

fn found(name: &str, cluster: &SdkCluster) -> Option<Found<Desired>> {
    let arn = cluster.arn()?;
    let vpc = cluster.resources_vpc_config();
    let sorted = |list: &[String]| {
        list.iter()
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    };
    let mut public_access = Vec::new();
    if let Some(vpc) = vpc.filter(|vpc| vpc.endpoint_public_access()) {
        public_access = sorted(vpc.public_access_cidrs());
        if public_access.is_empty() {
            public_access.push(EVERYBODY.to_owned());
        }
    }
    let setups = cluster
        .logging()
        .map(aws_sdk_eks::types::Logging::cluster_logging)
        .unwrap_or_default();
    let on = setups.iter().filter(|setup| setup.enabled() == Some(true));
    let logs: BTreeSet<String> = on
        .flat_map(aws_sdk_eks::types::LogSetup::types)
        .map(|log| log.as_str().to_owned())
        .collect();
    let settings = Desired {
        version: cluster.version().unwrap_or_default().to_owned(),
        role: cluster.role_arn().unwrap_or_default().to_owned(),
        subnets: vpc.map(|vpc| sorted(vpc.subnet_ids())).unwrap_or_default(),
        security_groups: vpc.map(|vpc| sorted(vpc.security_group_ids())).unwrap_or_default(),
        private_access: vpc.is_some_and(aws_sdk_eks::types::VpcConfigResponse::endpoint_private_access),
        public_access,
        logs: logs.into_iter().collect(),
        secrets_key: cluster
            .encryption_config()
            .iter()
            .find_map(|config| Some(config.provider()?.key_arn()?.to_owned())),
        authentication: match cluster.access_config().and_then(|access| access.authentication_mode()) {
            Some(AuthenticationMode::ApiAndConfigMap) => Authentication::ApiAndConfigMap,
            Some(AuthenticationMode::ConfigMap) => Authentication::ConfigMap,
            _ => Authentication::Api,
        },
        deletion_protection: cluster.deletion_protection() == Some(true),
        support: match cluster.upgrade_policy().and_then(|policy| policy.support_type()) {
            Some(SupportType::Extended) => Support::Extended,
            _ => Support::Standard,
        },
    };
    let word = cluster
        .status()
        .map(aws_sdk_eks::types::ClusterStatus::as_str)
        .unwrap_or_default();
    let state = eks::state(word, || {
        let issues = cluster.health().map(ClusterHealth::issues).unwrap_or_default().iter();
        let said = issues.map(|issue| (issue.code().map(ClusterIssueCode::as_str), issue.message()));
        eks::issues("the cluster", &word.to_lowercase(), said)
    });
    let mut found = Found::of_arn(name, arn, settings, eks::by_key(cluster.tags()), state);
    let authority = cluster.certificate_authority().and_then(|authority| authority.data());
    for (output, value) in [
        ("endpoint", cluster.endpoint()),
        ("certificate_authority", authority),
        ("security_group", vpc.and_then(|vpc| vpc.cluster_security_group_id())),
    ] {
        if let Some(value) = value {
            found.outputs.insert(output.to_owned(), Value::String(value.to_owned()));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::{Cluster, Desired};
    use crate::kind::AwsKind;
    use serde_json::{Value, json};

    fn normal(more: &Value) -> platform_core::Result<Value> {
        let mut value = json!({"version": "1.35", "role": "r", "subnets": ["b", "a"]});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let wanted: Desired = serde_json::from_value(value).unwrap();
        Cluster::normal(wanted).map(|normal| serde_json::to_value(normal).unwrap())
    }

    #[test]
    fn a_cluster_is_private_and_tells_everything_unless_asked_otherwise() {
        let normal_form = normal(&json!({})).unwrap();
        assert_eq!(normal_form["subnets"], json!(["a", "b"]));
        assert_eq!(normal_form["private_access"], true);
        assert_eq!(normal_form["public_access"], json!([]));
        assert_eq!(normal_form["logs"].as_array().unwrap().len(), 5);
        for refused in [
            json!({"version": "latest"}),
            json!({"private_access": false}),
            json!({"authentication": "config_map"}),
        ] {
            assert!(normal(&refused).is_err(), "{refused}");
        }
    }
}
