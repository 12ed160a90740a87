//! `eks.PodIdentityAssociation`: the role of IAM that pods of a service account act by. Called
//! `<cluster>/<namespace>/<service account>`.

use super::eks::{self, NO_SUCH};
use super::{AwsKind, Found, Reach};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::Tags;
use async_trait::async_trait;
use aws_sdk_eks::types::PodIdentityAssociationSummary as Summary;
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Error, ErrorKind, Field, Holds, KindFacts, NameRule, Result, Risk, RiskRule, State,
    Updating,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct PodIdentityAssociation;

const KIND: &str = "eks.PodIdentityAssociation";

static FACTS: KindFacts = KindFacts {
    kind: KIND,
    holds: Holds::Nothing,
    rank: 43,
    name: NameRule {
        max: 229,
        charset: Charset::AwsPath,
    },
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    patience: Duration::from_mins(5),
    usually: Duration::from_secs(2),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[Field::new("role").risk(RiskRule::Always(Risk::Exposes))],
    calls: Calls {
        read: &[
            "eks:DescribePodIdentityAssociation",
            "eks:ListPodIdentityAssociations",
            "eks:ListClusters",
        ],
        create: &[
            "eks:CreatePodIdentityAssociation",
            "eks:TagResource",
            "eks:UntagResource",
            "iam:PassRole",
            "iam:GetRole",
        ],
        update: &[
            "eks:UpdatePodIdentityAssociation",
            "eks:TagResource",
            "eks:UntagResource",
            "iam:PassRole",
            "iam:GetRole",
        ],
        delete: &["eks:DeletePodIdentityAssociation"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// ARN of the role, which trusts `pods.eks.amazonaws.com`. New pods get it; running ones keep what they have.
    role: String,
}

/// The cluster, the namespace and the service account.
fn parts(name: &str) -> Result<(&str, &str, &str)> {
    let (cluster, rest) = eks::split(KIND, name)?;
    let (namespace, account) = eks::split(KIND, rest)?;
    Ok((cluster, namespace, account))
}

/// The id by which EKS knows it.
async fn id_of(scope: &Scope<'_>, name: &str) -> Result<Option<String>> {
    let (cluster, namespace, account) = parts(name)?;
    let all = if scope.observes() {
        of_cluster(scope, cluster).await?
    } else {
        let call = scope.clients.eks.list_pod_identity_associations().cluster_name(cluster);
        let call = call.namespace(namespace).service_account(account);
        let answer = call.send().await.absent("eks:ListPodIdentityAssociations", NO_SUCH)?;
        Arc::new(answer.and_then(|answer| answer.associations).unwrap_or_default())
    };
    let mut all = all.iter();
    let this = all.find(|one| one.namespace() == Some(namespace) && one.service_account() == Some(account));
    Ok(this.and_then(|one| one.association_id().map(str::to_owned)))
}

/// All that a cluster has.
async fn of_cluster(scope: &Scope<'_>, cluster: &str) -> Result<Arc<Vec<Summary>>> {
    let ask = async {
        let call = scope.clients.eks.list_pod_identity_associations().cluster_name(cluster);
        let mut pages = call.into_paginator().send();
        let mut all = Vec::new();
        while let Some(page) = pages.next().await {
            let Some(page) = page.absent("eks:ListPodIdentityAssociations", NO_SUCH)? else {
                break;
            };
            all.extend(page.associations.unwrap_or_default());
        }
        Ok(all)
    };
    scope.once(cluster, ask).await
}

#[async_trait]
impl AwsKind for PodIdentityAssociation {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[
        "eks:{region}:{account}:cluster/{cluster}",
        "eks:{region}:{account}:podidentityassociation/{cluster}/*",
    ]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let Some(id) = id_of(scope, name).await? else {
            return Ok(None);
        };
        let (cluster, ..) = parts(name)?;
        let call = scope.clients.eks.describe_pod_identity_association();
        let call = call.cluster_name(cluster).association_id(id);
        let Some(answer) = call
            .send()
            .await
            .absent("eks:DescribePodIdentityAssociation", NO_SUCH)?
        else {
            return Ok(None);
        };
        Ok(answer.association().and_then(|association| {
            let settings = Desired {
                role: association.role_arn().unwrap_or_default().to_owned(),
            };
            let tags = eks::by_key(association.tags());
            Some(Found::of_arn(
                name,
                association.association_arn()?,
                settings,
                tags,
                State::Ready,
            ))
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for cluster in eks::clusters(scope).await? {
            let all = of_cluster(scope, &cluster).await?;
            let all = all.iter();
            names.extend(
                all.filter_map(|one| Some(format!("{cluster}/{}/{}", one.namespace()?, one.service_account()?))),
            );
        }
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let (cluster, namespace, account) = parts(name)?;
        scope
            .clients
            .eks
            .create_pod_identity_association()
            .cluster_name(cluster)
            .namespace(namespace)
            .service_account(account)
            .role_arn(&wanted.role)
            .client_request_token(token)
            .set_tags(Some(eks::sdk_tags(tags)))
            .send()
            .await
            .during("eks:CreatePodIdentityAssociation")
            .map(drop)
    }

    async fn update(scope: &Scope<'_>, name: &str, _found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let Some(id) = id_of(scope, name).await? else {
            return Err(Error::new(ErrorKind::Conflict, "the association is gone").with_help("plan again"));
        };
        let (cluster, ..) = parts(name)?;
        let call = scope.clients.eks.update_pod_identity_association();
        let call = call.cluster_name(cluster).association_id(id).role_arn(&wanted.role);
        call.send().await.during("eks:UpdatePodIdentityAssociation").map(drop)
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        eks::retag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let Some(id) = id_of(scope, found.name()).await? else {
            return Ok(());
        };
        let (cluster, ..) = parts(found.name())?;
        let call = scope.clients.eks.delete_pod_identity_association();
        let call = call.cluster_name(cluster).association_id(id);
        call.send()
            .await
            .absent("eks:DeletePodIdentityAssociation", NO_SUCH)
            .map(drop)
    }
}
