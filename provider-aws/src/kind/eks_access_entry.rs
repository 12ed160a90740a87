//! `eks.AccessEntry`: what a role or user of IAM may do in a cluster. Called `<cluster>/<account>/role/<name>`, which is the
//! principal's ARN without its beginning.

use super::eks::{self, NO_SUCH};
use super::{AwsKind, Found, Reach};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::Tags;
use async_trait::async_trait;
use aws_sdk_eks::types::{AccessScope, AccessScopeType, AssociatedAccessPolicy};
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Error, ErrorKind, Field, Holds, KindFacts, NameRule, Result, Risk, RiskRule, State,
    Updating,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct AccessEntry;

const KIND: &str = "eks.AccessEntry";

static FACTS: KindFacts = KindFacts {
    kind: KIND,
    holds: Holds::Nothing,
    // After everything in the cluster: it is the way in.
    rank: 41,
    name: NameRule {
        max: 240,
        charset: Charset::AwsPath,
    },
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    patience: Duration::from_mins(5),
    usually: Duration::from_secs(2),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("groups").risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("policies").risk(RiskRule::Always(Risk::Exposes)),
    ],
    calls: Calls {
        read: &[
            "eks:DescribeAccessEntry",
            "eks:ListAccessEntries",
            "eks:ListAssociatedAccessPolicies",
            "eks:ListClusters",
        ],
        create: &[
            "eks:CreateAccessEntry",
            "eks:AssociateAccessPolicy",
            "eks:TagResource",
            "eks:UntagResource",
        ],
        update: &[
            "eks:UpdateAccessEntry",
            "eks:AssociateAccessPolicy",
            "eks:DisassociateAccessPolicy",
            "eks:TagResource",
            "eks:UntagResource",
        ],
        delete: &["eks:DeleteAccessEntry"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// Groups that its RoleBindings name.
    #[serde(default)]
    groups: Vec<String>,
    /// Policies of EKS by name, `AmazonEKSViewPolicy`, and the namespaces they hold in; none: everywhere.
    #[serde(default)]
    policies: BTreeMap<String, Vec<String>>,
}

/// The ARN of a principal: of `111111111111/role/Admin`.
fn principal(scope: &Scope<'_>, own: &str) -> Result<String> {
    match own.split_once('/') {
        Some((account, rest)) if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(format!("arn:{}:iam::{account}:{rest}", scope.account.partition))
        }
        _ => Err(Error::new(ErrorKind::Invalid, format!("{own:?} is no principal"))
            .with_help("write <account>/role/<name>, as its ARN ends")),
    }
}

/// The other way around.
fn own_name(arn: &str) -> Option<String> {
    let rest = arn.split_once(":iam::")?.1;
    let (account, principal) = rest.split_once(':')?;
    Some(format!("{account}/{principal}"))
}

fn policy_arn(scope: &Scope<'_>, policy: &str) -> String {
    format!(
        "arn:{}:eks::aws:cluster-access-policy/{policy}",
        scope.account.partition
    )
}

#[async_trait]
impl AwsKind for AccessEntry {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[
        "eks:{region}:{account}:cluster/{cluster}",
        "eks:{region}:{account}:access-entry/{cluster}/*",
    ]);
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        wanted.groups.sort();
        wanted.groups.dedup();
        if let Some(group) = wanted.groups.iter().find(|group| group.starts_with("system:")) {
            return Err(
                Error::new(ErrorKind::Invalid, format!("group {group} is Kubernetes' own"))
                    .with_help("name a policy such as AmazonEKSClusterAdminPolicy under `policies`"),
            );
        }
        for namespaces in wanted.policies.values_mut() {
            namespaces.sort();
            namespaces.dedup();
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let (cluster, own) = eks::split(KIND, name)?;
        let principal = principal(scope, own)?;
        let call = scope
            .clients
            .eks
            .describe_access_entry()
            .cluster_name(cluster)
            .principal_arn(&principal);
        let Some(answer) = call.send().await.absent("eks:DescribeAccessEntry", NO_SUCH)? else {
            return Ok(None);
        };
        let Some((entry, arn)) = answer
            .access_entry()
            .and_then(|entry| Some((entry, entry.access_entry_arn()?)))
        else {
            return Ok(None);
        };
        let mut groups = entry.kubernetes_groups().to_vec();
        groups.sort();
        let settings = Desired {
            groups,
            policies: policies(scope, cluster, &principal).await?,
        };
        let tags = eks::by_key(entry.tags());
        Ok(Some(Found::of_arn(name, arn, settings, tags, State::Ready)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for cluster in eks::clusters(scope).await? {
            let mut pages = scope
                .clients
                .eks
                .list_access_entries()
                .cluster_name(&cluster)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let Some(page) = page.absent("eks:ListAccessEntries", NO_SUCH)? else {
                    break;
                };
                let own = page.access_entries().iter().filter_map(|arn| own_name(arn));
                names.extend(own.map(|own| format!("{cluster}/{own}")));
            }
        }
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let (cluster, own) = eks::split(KIND, name)?;
        let principal = principal(scope, own)?;
        scope
            .clients
            .eks
            .create_access_entry()
            .cluster_name(cluster)
            .principal_arn(&principal)
            .set_kubernetes_groups(Some(wanted.groups.clone()))
            .client_request_token(token)
            .set_tags(Some(eks::sdk_tags(tags)))
            .send()
            .await
            .during("eks:CreateAccessEntry")?;
        for (policy, namespaces) in &wanted.policies {
            associate(scope, cluster, &principal, policy, namespaces).await?;
        }
        Ok(())
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (cluster, own) = eks::split(KIND, name)?;
        let principal = principal(scope, own)?;
        let (eks, have) = (&scope.clients.eks, &found.settings);
        if have.groups != wanted.groups {
            let call = eks
                .update_access_entry()
                .cluster_name(cluster)
                .principal_arn(&principal);
            let call = call.set_kubernetes_groups(Some(wanted.groups.clone()));
            call.send().await.during("eks:UpdateAccessEntry")?;
        }
        for (policy, namespaces) in &wanted.policies {
            if have.policies.get(policy) != Some(namespaces) {
                associate(scope, cluster, &principal, policy, namespaces).await?;
            }
        }
        for policy in have
            .policies
            .keys()
            .filter(|policy| !wanted.policies.contains_key(*policy))
        {
            let call = eks
                .disassociate_access_policy()
                .cluster_name(cluster)
                .principal_arn(&principal);
            let call = call.policy_arn(policy_arn(scope, policy));
            call.send().await.absent("eks:DisassociateAccessPolicy", NO_SUCH)?;
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        eks::retag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let (cluster, own) = eks::split(KIND, found.name())?;
        let call = scope.clients.eks.delete_access_entry().cluster_name(cluster);
        let call = call.principal_arn(principal(scope, own)?);
        call.send().await.absent("eks:DeleteAccessEntry", NO_SUCH).map(drop)
    }
}

async fn policies(scope: &Scope<'_>, cluster: &str, principal: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let call = scope.clients.eks.list_associated_access_policies();
    let mut pages = call
        .cluster_name(cluster)
        .principal_arn(principal)
        .into_paginator()
        .send();
    let mut policies = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.during("eks:ListAssociatedAccessPolicies")?;
        policies.extend(page.associated_access_policies().iter().filter_map(associated));
    }
    Ok(policies)
}

fn associated(policy: &AssociatedAccessPolicy) -> Option<(String, Vec<String>)> {
    let name = policy.policy_arn()?.rsplit('/').next()?;
    let mut namespaces = policy
        .access_scope()
        .map(|scope| scope.namespaces().to_vec())
        .unwrap_or_default();
    namespaces.sort();
    Some((name.to_owned(), namespaces))
}

async fn associate(
    scope: &Scope<'_>,
    cluster: &str,
    principal: &str,
    policy: &str,
    namespaces: &[String],
) -> Result<()> {
    let whole = namespaces.is_empty();
    let access = AccessScope::builder()
        .r#type(if whole {
            AccessScopeType::Cluster
        } else {
            AccessScopeType::Namespace
        })
        .set_namespaces((!whole).then(|| namespaces.to_vec()))
        .build();
    scope
        .clients
        .eks
        .associate_access_policy()
        .cluster_name(cluster)
        .principal_arn(principal)
        .policy_arn(policy_arn(scope, policy))
        .access_scope(access)
        .send()
        .await
        .during("eks:AssociateAccessPolicy")
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::own_name;

    #[test]
    fn a_principal_is_its_arn_without_the_beginning() {
        for (arn, own) in [
            ("arn:aws:iam::111111111111:role/Admin", Some("111111111111/role/Admin")),
            ("arn:aws-cn:iam::111111111111:role/a/b", Some("111111111111/role/a/b")),
            ("arn:aws:sts::111111111111:assumed-role/a/b", None),
        ] {
            assert_eq!(own_name(arn).as_deref(), own);
        }
    }
}
