//! `eks.Nodegroup`: servers of one sort that EKS keeps running for a cluster. How many there are just now is an autoscaler's
//! business: a wish names the least and the most.

use super::eks::{self, NO_SUCH, Waited};
use super::{AwsKind, Found, Limit, Reach};
use crate::error::Outcome;
use crate::existing::Needs;
use crate::provider::Scope;
use crate::tags::Tags;
use async_trait::async_trait;
use aws_sdk_eks::types::{
    AmiTypes, CapacityTypes, Nodegroup as SdkNodegroup, NodegroupHealth, NodegroupIssueCode, NodegroupScalingConfig,
    NodegroupUpdateConfig, Taint, TaintEffect, UpdateLabelsPayload, UpdateTaintsPayload,
};
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Equal, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, NameRule, Result, Risk,
    RiskRule, State, Updating,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Nodegroup;

const KIND: &str = "eks.Nodegroup";
const MAX_OWN: usize = 63;

static FACTS: KindFacts = KindFacts {
    kind: KIND,
    holds: Holds::Nothing,
    // Before the cluster, after what runs on it.
    rank: 41,
    name: NameRule {
        max: eks::MAX_CLUSTER + 1 + MAX_OWN,
        charset: Charset::AwsPath,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(40),
    usually: Duration::from_mins(3),
    taken: "",
    removal: Some(Risk::Downtime),
    outputs: &["arn", "name"],
    fields: &[
        // EKS drains one server after another.
        Field::new("version")
            .changes(FieldChange::Restart)
            .risk(RiskRule::Always(Risk::Irreversible)),
        Field::new("role").changes(FieldChange::NewName),
        Field::new("subnets").changes(FieldChange::NewName).equal(Equal::Set),
        Field::new("instance_types").changes(FieldChange::NewName),
        Field::new("image").changes(FieldChange::NewName),
        Field::new("disk_gib").changes(FieldChange::NewName),
        Field::new("spot").changes(FieldChange::NewName),
        Field::new("min").risk(RiskRule::Shrinks(Risk::Downtime)),
        Field::new("max").risk(RiskRule::Shrinks(Risk::Downtime)),
        Field::new("taints").risk(RiskRule::Widens(Risk::Downtime)),
    ],
    calls: Calls {
        read: &["eks:DescribeNodegroup", "eks:ListNodegroups", "eks:ListClusters"],
        create: &[
            "eks:CreateNodegroup",
            "eks:TagResource",
            "eks:UntagResource",
            "iam:PassRole",
            "iam:GetRole",
            "iam:ListAttachedRolePolicies",
            "iam:CreateServiceLinkedRole",
            "ec2:DescribeSubnets",
        ],
        update: &[
            "eks:UpdateNodegroupConfig",
            "eks:UpdateNodegroupVersion",
            "eks:DescribeUpdate",
            "eks:TagResource",
            "eks:UntagResource",
        ],
        delete: &["eks:DeleteNodegroup"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// The minor version of Kubernetes: the cluster's, or at most three below.
    version: String,
    /// ARN of the role that the servers act by.
    role: String,
    subnets: Vec<String>,
    /// In order of preference: `m7i.large`.
    instance_types: Vec<String>,
    /// `AL2023_x86_64_STANDARD`, `BOTTLEROCKET_ARM_64`: EKS keeps their newest build for the version.
    #[serde(default = "image")]
    image: String,
    /// Of each server's disk.
    #[serde(default = "disk")]
    disk_gib: i32,
    /// Cheaper servers that AWS takes back with two minutes' notice.
    #[serde(default)]
    spot: bool,
    min: i32,
    max: i32,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// `key=value:NoSchedule`.
    #[serde(default)]
    taints: Vec<String>,
    /// How many servers, in percent, an upgrade may take away at once.
    #[serde(default = "unavailable")]
    max_unavailable_percent: i32,
}

/// Images of servers. One of one's own needs a launch template, which is not made here.
const IMAGES: &[&str] = &[
    "AL2_x86_64",
    "AL2_x86_64_GPU",
    "AL2_ARM_64",
    "AL2023_x86_64_STANDARD",
    "AL2023_ARM_64_STANDARD",
    "AL2023_x86_64_NEURON",
    "AL2023_x86_64_NVIDIA",
    "AL2023_ARM_64_NVIDIA",
    "BOTTLEROCKET_ARM_64",
    "BOTTLEROCKET_x86_64",
    "BOTTLEROCKET_ARM_64_FIPS",
    "BOTTLEROCKET_x86_64_FIPS",
    "BOTTLEROCKET_ARM_64_NVIDIA",
    "BOTTLEROCKET_x86_64_NVIDIA",
    "BOTTLEROCKET_ARM_64_NVIDIA_FIPS",
    "BOTTLEROCKET_x86_64_NVIDIA_FIPS",
    "WINDOWS_CORE_2019_x86_64",
    "WINDOWS_FULL_2019_x86_64",
    "WINDOWS_CORE_2022_x86_64",
    "WINDOWS_FULL_2022_x86_64",
    "WINDOWS_CORE_2025_x86_64",
    "WINDOWS_FULL_2025_x86_64",
];

fn image() -> String {
    "AL2023_x86_64_STANDARD".to_owned()
}

fn disk() -> i32 {
    50
}

fn unavailable() -> i32 {
    33
}

const EFFECTS: [(&str, TaintEffect); 3] = [
    ("NoSchedule", TaintEffect::NoSchedule),
    ("NoExecute", TaintEffect::NoExecute),
    ("PreferNoSchedule", TaintEffect::PreferNoSchedule),
];

#[async_trait]
impl AwsKind for Nodegroup {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[
        "eks:{region}:{account}:cluster/{cluster}",
        "eks:{region}:{account}:nodegroup/{cluster}/{rest}/*",
    ]);
    const NEEDS: Needs = Needs::NOTHING.addresses(1).way_out();
    const LIMITS: &'static [Limit] = &[
        Limit::new("image", "eks:AMITypes").words(IMAGES),
        Limit::new("labels.{}", "eks:labelKey").length(1, 63),
        Limit::new("labels.*", "eks:labelValue").length(1, 63),
        Limit::new("max_unavailable_percent", "eks:PercentCapacity").range(1, 100),
        Limit::new("min", "eks:ZeroCapacity").range(0, i64::MAX),
        Limit::new("max", "eks:Capacity").range(1, i64::MAX),
    ];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let refuse = |why: String, help: &str| Err(Error::new(ErrorKind::Invalid, why).with_help(help));
        eks::check_version(&wanted.version)?;
        if !(0 <= wanted.min && wanted.min <= wanted.max && 1 <= wanted.max) {
            return refuse(
                format!("min {} and max {} of servers", wanted.min, wanted.max),
                "`min` is 0 or more, `max` at least 1 and no less than `min`",
            );
        }
        if wanted.instance_types.is_empty() {
            return refuse("no type of servers".to_owned(), "name one, such as m7i.large");
        }
        if !(20..=16_384).contains(&wanted.disk_gib) {
            return refuse(format!("disks of {} GiB", wanted.disk_gib), "choose 20 to 16384 GiB");
        }
        for text in &wanted.taints {
            taint(text)?;
        }
        wanted.taints.sort();
        wanted.subnets.sort();
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let (cluster, own) = eks::split(KIND, name)?;
        let call = scope
            .clients
            .eks
            .describe_nodegroup()
            .cluster_name(cluster)
            .nodegroup_name(own);
        let answer = call.send().await.absent("eks:DescribeNodegroup", NO_SUCH)?;
        Ok(answer.and_then(|answer| found(name, answer.nodegroup()?)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for cluster in eks::clusters(scope).await? {
            let mut pages = scope
                .clients
                .eks
                .list_nodegroups()
                .cluster_name(&cluster)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let Some(page) = page.absent("eks:ListNodegroups", NO_SUCH)? else {
                    break;
                };
                names.extend(page.nodegroups().iter().map(|own| format!("{cluster}/{own}")));
            }
        }
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let (cluster, own) = eks::split(KIND, name)?;
        let taints: Vec<Taint> = wanted.taints.iter().map(|text| taint(text)).collect::<Result<_>>()?;
        scope
            .clients
            .eks
            .create_nodegroup()
            .cluster_name(cluster)
            .nodegroup_name(own)
            .version(&wanted.version)
            .node_role(&wanted.role)
            .set_subnets(Some(wanted.subnets.clone()))
            .set_instance_types(Some(wanted.instance_types.clone()))
            .ami_type(AmiTypes::from(wanted.image.as_str()))
            .disk_size(wanted.disk_gib)
            .capacity_type(if wanted.spot {
                CapacityTypes::Spot
            } else {
                CapacityTypes::OnDemand
            })
            .scaling_config(
                NodegroupScalingConfig::builder()
                    .min_size(wanted.min)
                    .max_size(wanted.max)
                    .desired_size(wanted.min)
                    .build(),
            )
            .update_config(updates(wanted))
            .set_labels(Some(wanted.labels.clone().into_iter().collect()))
            .set_taints(Some(taints))
            .client_request_token(token)
            .set_tags(Some(eks::sdk_tags(tags)))
            .send()
            .await
            .during("eks:CreateNodegroup")
            .map(drop)
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (cluster, own) = eks::split(KIND, name)?;
        let have = &found.settings;
        let target = Waited {
            cluster,
            nodegroup: Some(own),
            addon: None,
        };
        let eks = &scope.clients.eks;
        let like = Desired {
            version: have.version.clone(),
            ..wanted.clone()
        };
        if have != &like {
            let mut call = eks.update_nodegroup_config().cluster_name(cluster).nodegroup_name(own);
            if (have.min, have.max) != (like.min, like.max) {
                // Whatever runs now stays, as far as it is within the bounds: EKS refuses a number outside of them.
                let scaling = NodegroupScalingConfig::builder().min_size(like.min).max_size(like.max);
                let now = running(scope, cluster, own).await?;
                call = call.scaling_config(
                    scaling
                        .set_desired_size(now.map(|now| now.clamp(like.min, like.max)))
                        .build(),
                );
            }
            if have.labels != like.labels {
                call = call.labels(labels(&have.labels, &like.labels));
            }
            if have.taints != like.taints {
                call = call.taints(taints(&have.taints, &like.taints)?);
            }
            if have.max_unavailable_percent != like.max_unavailable_percent {
                call = call.update_config(updates(&like));
            }
            let answer = call.send().await.during("eks:UpdateNodegroupConfig")?;
            target.until_updated(scope, answer.update()).await?;
        }
        if have.version != wanted.version {
            let call = eks.update_nodegroup_version().cluster_name(cluster).nodegroup_name(own);
            let answer = call
                .version(&wanted.version)
                .send()
                .await
                .during("eks:UpdateNodegroupVersion")?;
            target.until_updated(scope, answer.update()).await?;
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
        let (cluster, own) = eks::split(KIND, found.name())?;
        let call = scope
            .clients
            .eks
            .delete_nodegroup()
            .cluster_name(cluster)
            .nodegroup_name(own);
        call.send().await.absent("eks:DeleteNodegroup", NO_SUCH).map(drop)
    }
}

fn updates(wanted: &Desired) -> NodegroupUpdateConfig {
    NodegroupUpdateConfig::builder()
        .max_unavailable_percentage(wanted.max_unavailable_percent)
        .build()
}

/// How many servers there are to be just now.
async fn running(scope: &Scope<'_>, cluster: &str, own: &str) -> Result<Option<i32>> {
    let call = scope
        .clients
        .eks
        .describe_nodegroup()
        .cluster_name(cluster)
        .nodegroup_name(own);
    let answer = call.send().await.during("eks:DescribeNodegroup")?;
    Ok(answer
        .nodegroup()
        .and_then(|group| group.scaling_config()?.desired_size()))
}

/// `key=value:NoSchedule`.
fn taint(text: &str) -> Result<Taint> {
    let parts = text.rsplit_once(':').and_then(|(pair, effect)| {
        let (_, effect) = EFFECTS.iter().find(|(word, _)| *word == effect)?;
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        // As long as EKS takes them.
        let fits = (1..=63).contains(&key.len()) && value.len() <= 63;
        fits.then(|| Taint::builder().key(key).value(value).effect(effect.clone()).build())
    });
    parts.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("{text:?} is no taint"))
            .with_help("write key=value:NoSchedule, or NoExecute, or PreferNoSchedule")
    })
}

fn text_of(taint: &Taint) -> String {
    let effect = EFFECTS
        .iter()
        .find(|(_, effect)| Some(effect) == taint.effect())
        .map_or("", |(word, _)| word);
    let (key, value) = (taint.key().unwrap_or_default(), taint.value().unwrap_or_default());
    format!("{key}={value}:{effect}")
}

fn labels(have: &BTreeMap<String, String>, want: &BTreeMap<String, String>) -> UpdateLabelsPayload {
    let put = want.iter().filter(|(key, value)| have.get(*key) != Some(value));
    let gone = have.keys().filter(|key| !want.contains_key(*key));
    UpdateLabelsPayload::builder()
        .set_add_or_update_labels(Some(put.map(|(key, value)| (key.clone(), value.clone())).collect()))
        .set_remove_labels(Some(gone.cloned().collect()))
        .build()
}

fn taints(have: &[String], want: &[String]) -> Result<UpdateTaintsPayload> {
    let put = want.iter().filter(|text| !have.contains(text)).map(|text| taint(text));
    let gone = have.iter().filter(|text| !want.contains(text)).map(|text| taint(text));
    Ok(UpdateTaintsPayload::builder()
        .set_add_or_update_taints(Some(put.collect::<Result<_>>()?))
        .set_remove_taints(Some(gone.collect::<Result<_>>()?))
        .build())
}

fn found(name: &str, group: &SdkNodegroup) -> Option<Found<Desired>> {
    let arn = group.nodegroup_arn()?;
    let scaling = group.scaling_config();
    let mut taints: Vec<String> = group.taints().iter().map(text_of).collect();
    taints.sort();
    let mut subnets = group.subnets().to_vec();
    subnets.sort();
    let labels = group.labels().into_iter().flatten();
    let settings = Desired {
        version: group.version().unwrap_or_default().to_owned(),
        role: group.node_role().unwrap_or_default().to_owned(),
        subnets,
        instance_types: group.instance_types().to_vec(),
        image: group
            .ami_type()
            .map(|image| image.as_str().to_owned())
            .unwrap_or_default(),
        disk_gib: group.disk_size().unwrap_or_default(),
        spot: group.capacity_type() == Some(&CapacityTypes::Spot),
        min: scaling
            .and_then(aws_sdk_eks::types::NodegroupScalingConfig::min_size)
            .unwrap_or_default(),
        max: scaling
            .and_then(aws_sdk_eks::types::NodegroupScalingConfig::max_size)
            .unwrap_or_default(),
        labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
        taints,
        max_unavailable_percent: group
            .update_config()
            .and_then(aws_sdk_eks::types::NodegroupUpdateConfig::max_unavailable_percentage)
            .unwrap_or_default(),
    };
    let word = group
        .status()
        .map(aws_sdk_eks::types::NodegroupStatus::as_str)
        .unwrap_or_default();
    let state = eks::state(word, || {
        let issues = group.health().map(NodegroupHealth::issues).unwrap_or_default().iter();
        let said = issues.map(|issue| (issue.code().map(NodegroupIssueCode::as_str), issue.message()));
        eks::issues("the node group", &word.to_lowercase(), said)
    });
    Some(Found::of_arn(name, arn, settings, eks::by_key(group.tags()), state))
}

#[cfg(test)]
mod tests {
    use super::{Desired, Nodegroup, taint, text_of};
    use crate::kind::AwsKind;
    use serde_json::{Value, json};

    fn normal(more: &Value) -> platform_core::Result<Value> {
        let mut value = json!({"version": "1.35", "role": "r", "subnets": ["b", "a"], "instance_types": ["m7i.large"],
            "min": 1, "max": 3});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let wanted: Desired = serde_json::from_value(value).unwrap();
        Nodegroup::normal(wanted).map(|normal| serde_json::to_value(normal).unwrap())
    }

    #[test]
    fn what_eks_would_refuse_is_refused_before_any_call() {
        assert!(normal(&json!({})).is_ok());
        for refused in [
            json!({"min": 4}),
            json!({"min": 0, "max": 0}),
            json!({"min": -1}),
            json!({"instance_types": []}),
            json!({"disk_gib": 10}),
            json!({"taints": [format!("{}=yes:NoSchedule", "k".repeat(64))]}),
            json!({"taints": [format!("gpu={}:NoSchedule", "v".repeat(64))]}),
            json!({"taints": ["gpu"]}),
            json!({"taints": ["gpu=yes:Never"]}),
            json!({"version": "newest"}),
        ] {
            assert!(normal(&refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn taints_are_written_as_kubectl_writes_them() {
        for text in ["gpu=yes:NoSchedule", "a/b=:NoExecute", "x=y:PreferNoSchedule"] {
            assert_eq!(text_of(&taint(text).unwrap()), text);
        }
        assert_eq!(text_of(&taint("gpu:NoSchedule").unwrap()), "gpu=:NoSchedule");
    }
}
