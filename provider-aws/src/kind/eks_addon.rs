//! `eks.Addon`: software that AWS runs in a cluster. Its version is EKS's default for a minor version of Kubernetes; a tag
//! remembers which one that was, so that an upgrade of the cluster takes its add-ons along.

use super::eks::{self, NO_SUCH, Waited};
use super::{AwsKind, Found, Reach};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_eks::types::{AddonHealth, AddonIssueCode, ResolveConflicts};
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Equal, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, NameRule, Result, State,
    Updating,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Addon;

const KIND: &str = "eks.Addon";

static FACTS: KindFacts = KindFacts {
    kind: KIND,
    holds: Holds::Nothing,
    // Before nodes: a volume is given back by what runs on them.
    rank: 42,
    name: NameRule {
        max: eks::MAX_CLUSTER + 101,
        charset: Charset::AwsPath,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(25),
    usually: Duration::from_mins(1),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("kubernetes").changes(FieldChange::Restart),
        Field::new("configuration")
            .equal(Equal::JsonText)
            .changes(FieldChange::Restart),
    ],
    calls: Calls {
        read: &["eks:DescribeAddon", "eks:ListAddons", "eks:ListClusters"],
        create: &["eks:CreateAddon", "eks:TagResource", "eks:UntagResource"],
        update: &[
            "eks:UpdateAddon",
            "eks:DescribeAddonVersions",
            "eks:DescribeUpdate",
            "eks:TagResource",
            "eks:UntagResource",
        ],
        delete: &["eks:DeleteAddon"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// The minor version of Kubernetes whose default version it has: `1.35`. Empty where others made it.
    kubernetes: String,
    /// Values of its own, as JSON in a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
}

#[async_trait]
impl AwsKind for Addon {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[
        "eks:{region}:{account}:cluster/{cluster}",
        "eks:{region}:{account}:addon/{cluster}/{rest}/*",
    ]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        eks::check_version(&wanted.kubernetes)?;
        if let Some(text) = &wanted.configuration {
            serde_json::from_str::<serde_json::Value>(text).map_err(|cause| {
                Error::new(ErrorKind::Invalid, format!("configuration is no JSON: {cause}"))
                    .with_help("write what `aws eks describe-addon-configuration` allows")
            })?;
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let (cluster, addon) = eks::split(KIND, name)?;
        let call = scope
            .clients
            .eks
            .describe_addon()
            .cluster_name(cluster)
            .addon_name(addon);
        let Some(answer) = call.send().await.absent("eks:DescribeAddon", NO_SUCH)? else {
            return Ok(None);
        };
        let Some((addon, arn)) = answer.addon().and_then(|addon| Some((addon, addon.addon_arn()?))) else {
            return Ok(None);
        };
        let tags = eks::by_key(addon.tags());
        let settings = Desired {
            kubernetes: tags::ours(&tags, tags::CHOSEN_FOR).unwrap_or_default().to_owned(),
            configuration: addon
                .configuration_values()
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
        };
        let word = addon
            .status()
            .map(aws_sdk_eks::types::AddonStatus::as_str)
            .unwrap_or_default();
        let state = match word {
            // Without a node nothing runs: it gets well by itself when one is there.
            "DEGRADED" => State::Progressing {
                what: "degraded".to_owned(),
            },
            word => eks::state(word, || {
                let issues = addon.health().map(AddonHealth::issues).unwrap_or_default().iter();
                let said = issues.map(|issue| (issue.code().map(AddonIssueCode::as_str), issue.message()));
                eks::issues("the add-on", &word.to_lowercase(), said)
            }),
        };
        Ok(Some(Found::of_arn(name, arn, settings, tags, state)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for cluster in eks::clusters(scope).await? {
            let mut pages = scope
                .clients
                .eks
                .list_addons()
                .cluster_name(&cluster)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let Some(page) = page.absent("eks:ListAddons", NO_SUCH)? else {
                    break;
                };
                names.extend(page.addons().iter().map(|addon| format!("{cluster}/{addon}")));
            }
        }
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let (cluster, addon) = eks::split(KIND, name)?;
        let mut tags = tags.clone();
        tags.insert(tags::key(tags::CHOSEN_FOR), wanted.kubernetes.clone());
        scope
            .clients
            .eks
            .create_addon()
            .cluster_name(cluster)
            .addon_name(addon)
            .set_configuration_values(wanted.configuration.clone())
            .resolve_conflicts(ResolveConflicts::Overwrite)
            .client_request_token(token)
            .set_tags(Some(eks::sdk_tags(&tags)))
            .send()
            .await
            .during("eks:CreateAddon")
            .map(drop)
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (cluster, addon) = eks::split(KIND, name)?;
        let follows = found.settings.kubernetes != wanted.kubernetes;
        let version = if follows {
            Some(default_version(scope, addon, &wanted.kubernetes).await?)
        } else {
            None
        };
        let answer = scope
            .clients
            .eks
            .update_addon()
            .cluster_name(cluster)
            .addon_name(addon)
            .set_addon_version(version)
            // Absent means "as it is", empty "the defaults".
            .configuration_values(wanted.configuration.clone().unwrap_or_default())
            .resolve_conflicts(ResolveConflicts::Overwrite)
            .send()
            .await
            .during("eks:UpdateAddon")?;
        let target = Waited {
            cluster,
            nodegroup: None,
            addon: Some(addon),
        };
        target.until_updated(scope, answer.update()).await?;
        if follows {
            let chosen = Tags::from([(tags::key(tags::CHOSEN_FOR), wanted.kubernetes.clone())]);
            eks::retag(scope, &found.handle, &chosen, &[]).await?;
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
        let (cluster, addon) = eks::split(KIND, found.name())?;
        let call = scope.clients.eks.delete_addon().cluster_name(cluster).addon_name(addon);
        call.send().await.absent("eks:DeleteAddon", NO_SUCH).map(drop)
    }
}

/// The version that EKS gives an add-on by default in a cluster of this minor version.
async fn default_version(scope: &Scope<'_>, addon: &str, kubernetes: &str) -> Result<String> {
    let call = scope.clients.eks.describe_addon_versions().addon_name(addon);
    let call = call.kubernetes_version(kubernetes);
    let answer = call.send().await.during("eks:DescribeAddonVersions")?;
    let versions = answer
        .addons()
        .iter()
        .flat_map(aws_sdk_eks::types::AddonInfo::addon_versions);
    let is_default = |version: &&aws_sdk_eks::types::AddonVersionInfo| {
        let mut compatible = version.compatibilities().iter();
        compatible.any(|one| one.default_version() && one.cluster_version() == Some(kubernetes))
    };
    let version = versions
        .into_iter()
        .find(is_default)
        .and_then(|version| version.addon_version());
    version.map(str::to_owned).ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            format!("EKS has no version of {addon} for Kubernetes {kubernetes}"),
        )
        .with_help("`aws eks describe-addon-versions` lists them")
    })
}
