//! `iam.Role`: a role with its trust policy, inline policies, attached managed policies and permissions boundary.
//!
//! IAM is one service for all regions, and its roles are unknown to the tagging API: those of a set are listed by the path
//! `/mlplat/<set>/` that they are made under.

use super::{AwsKind, Found, Limit, Reach, Room};
use crate::error::Outcome;
use crate::policy;
use crate::provider::Scope;
use crate::roles;
use crate::tags::Tags;
use async_trait::async_trait;
use aws_sdk_iam::types::{SummaryKeyType, Tag};
use percent_encoding::percent_decode_str;
use platform_core::value::{SetId, Uid};
use platform_core::{
    Calls, Charset, Creation, Equal, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, NameRule, Result, Retry,
    Risk, RiskRule, State, Updating,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The call that counts what IAM holds.
pub(crate) const SUMMARY: &str = "iam:GetAccountSummary";
const NO_SUCH: &[&str] = &["NoSuchEntity"];
/// What a role of AWS's own lies under.
const OF_SERVICES: &str = "/aws-service-role/";
/// How long one part of IAM may not know what another has just made.
const SPREAD: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Role;

static FACTS: KindFacts = KindFacts {
    kind: "iam.Role",
    holds: Holds::Nothing,
    // After what acts by it.
    rank: 20,
    name: NameRule {
        max: 64,
        charset: Charset::AwsPath,
    },
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    patience: Duration::from_mins(1),
    usually: Duration::from_secs(2),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("path")
            .changes(FieldChange::Never)
            .instead("choose another name under `names:` in the config, and delete the old role afterwards"),
        Field::new("trust")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("inline.*")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("managed")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("permissions_boundary").risk(RiskRule::Removed(Risk::LowersProtection)),
    ],
    calls: Calls {
        read: &[
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:ListRoles",
        ],
        create: &[
            "iam:CreateRole",
            "iam:PutRolePolicy",
            "iam:AttachRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
        ],
        update: &[
            "iam:UpdateRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:PutRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:AttachRolePolicy",
            "iam:DetachRolePolicy",
            "iam:PutRolePermissionsBoundary",
            "iam:DeleteRolePermissionsBoundary",
            "iam:TagRole",
            "iam:UntagRole",
        ],
        delete: &["iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:DeleteRole"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// `/mlplat/<set>/`. Part of the ARN, fixed when the role is made.
    path: String,
    #[serde(default)]
    description: String,
    /// Statements of the trust policy: who may act by the role.
    trust: Vec<Value>,
    /// Statements by the name of the inline policy.
    #[serde(default)]
    inline: BTreeMap<String, Vec<Value>>,
    /// ARNs of managed policies.
    #[serde(default)]
    managed: Vec<String>,
    /// ARN of the policy that bounds all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    permissions_boundary: Option<String>,
    /// Longest session in seconds: 3600 to 43200.
    #[serde(default = "hour")]
    max_session: i32,
}

fn hour() -> i32 {
    3600
}

fn sdk_tags(tags: &Tags) -> Result<Vec<Tag>> {
    tags.iter()
        .map(|(key, value)| {
            Tag::builder()
                .key(key)
                .value(value)
                .build()
                .map_err(|cause| Error::new(ErrorKind::Internal, format!("tag {key}: {cause}")))
        })
        .collect()
}

/// The statements of a document as IAM sends it: with percent signs.
fn statements(document: &str) -> Result<Vec<Value>> {
    policy::statements(&percent_decode_str(document).decode_utf8_lossy())
}

#[async_trait]
impl AwsKind for Role {
    const FACTS: &'static KindFacts = &FACTS;
    const GLOBAL: bool = true;
    const REACH: Reach = Reach::of(&["iam::{account}:role/mlplat/{set}/{name}", "iam::{account}:role/{name}"]);
    const LIMITS: &'static [Limit] = &[
        Limit::new("path", "iam:pathType")
            .length(1, 512)
            .pattern(r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)"),
        Limit::new("description", "iam:roleDescriptionType")
            .length(0, 1000)
            .pattern(r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*"),
        Limit::new("max_session", "iam:roleMaxSessionDurationType").range(3600, 43_200),
        Limit::new("managed.*", "iam:arnType").length(20, 2048),
        Limit::new("permissions_boundary", "iam:arnType").length(20, 2048),
        Limit::new("inline.{}", "iam:policyNameType")
            .length(1, 128)
            .pattern(r"[\w+=,.@-]+"),
    ];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let refuse = |why: String, help: &str| Err(Error::new(ErrorKind::Invalid, why).with_help(help));
        if !(wanted.path.starts_with('/') && wanted.path.ends_with('/')) {
            return refuse(
                format!("path {:?} does not begin and end with a slash", wanted.path),
                "write /mlplat/<set>/",
            );
        }
        if wanted.trust.is_empty() {
            return refuse(
                "a role that nobody may act by".to_owned(),
                "give it a statement of trust",
            );
        }
        wanted.trust = policy::normals(&wanted.trust);
        for (name, statements) in &mut wanted.inline {
            if statements.is_empty() {
                return refuse(format!("inline policy {name:?} has no statement"), "leave it out");
            }
            *statements = policy::normals(statements);
        }
        wanted.managed.sort();
        wanted.managed.dedup();
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let iam = &scope.clients.iam;
        let answer = iam.get_role().role_name(name).send().await;
        let Some(role) = answer.absent("iam:GetRole", NO_SUCH)?.and_then(|answer| answer.role) else {
            return Ok(None);
        };
        let (inline, managed) = futures::try_join!(inline(scope, name), managed(scope, name))?;
        let (Some(inline), Some(managed)) = (inline, managed) else {
            return Ok(None);
        };
        Ok(Some(Found {
            uid: Uid::new(role.role_id()),
            handle: name.to_owned(),
            settings: Desired {
                path: role.path().to_owned(),
                description: role.description().unwrap_or_default().to_owned(),
                trust: role
                    .assume_role_policy_document()
                    .map(statements)
                    .transpose()?
                    .unwrap_or_default(),
                inline,
                managed,
                permissions_boundary: role
                    .permissions_boundary()
                    .and_then(|boundary| boundary.permissions_boundary_arn())
                    .map(str::to_owned),
                max_session: role.max_session_duration().unwrap_or_else(hour),
            },
            tags: role
                .tags()
                .iter()
                .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                .collect(),
            outputs: BTreeMap::from([
                ("arn".to_owned(), Value::String(role.arn().to_owned())),
                ("name".to_owned(), Value::String(name.to_owned())),
            ]),
            state: State::Ready,
            doomed: None,
            stranger: role.path().starts_with(OF_SERVICES).then(|| "AWS itself".to_owned()),
            version: None,
        }))
    }

    async fn room(scope: &Scope<'_>) -> Result<Option<Room>> {
        let told = scope.clients.iam.get_account_summary().send().await.during(SUMMARY)?;
        let of = |key| {
            let count = told.summary_map().and_then(|counts| counts.get(&key));
            count.and_then(|count| u64::try_from(*count).ok())
        };
        let counts = of(SummaryKeyType::Roles).zip(of(SummaryKeyType::RolesQuota));
        Ok(counts.map(|(used, limit)| Room {
            of: "roles",
            quota: "L-FE177D64",
            used,
            limit,
        }))
    }

    async fn list(scope: &Scope<'_>, set: &SetId) -> Result<Vec<String>> {
        let call = scope.clients.iam.list_roles().path_prefix(roles::path(set));
        let mut pages = call.into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.during("iam:ListRoles")?;
            names.extend(page.roles().iter().map(|role| role.role_name().to_owned()));
        }
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        scope
            .clients
            .iam
            .create_role()
            .role_name(name)
            .path(&wanted.path)
            .description(&wanted.description)
            .assume_role_policy_document(policy::document(&wanted.trust))
            .set_permissions_boundary(wanted.permissions_boundary.clone())
            .max_session_duration(wanted.max_session)
            .set_tags(Some(sdk_tags(tags)?))
            .send()
            .await
            .during("iam:CreateRole")?;
        let bare = Desired {
            inline: BTreeMap::new(),
            managed: Vec::new(),
            ..wanted.clone()
        };
        write(scope, name, &bare, wanted)
            .await
            .map_err(|error| match error.kind() {
                // What was made a moment ago is not known everywhere yet; the next try finds the role and completes it.
                ErrorKind::NotFound => error.with_retry(Retry::After(SPREAD)),
                _ => error,
            })
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        write(scope, name, &found.settings, wanted).await
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        let iam = &scope.clients.iam;
        if !put.is_empty() {
            iam.tag_role()
                .role_name(&found.handle)
                .set_tags(Some(sdk_tags(put)?))
                .send()
                .await
                .during("iam:TagRole")?;
        }
        if !remove.is_empty() {
            iam.untag_role()
                .role_name(&found.handle)
                .set_tag_keys(Some(remove.to_vec()))
                .send()
                .await
                .during("iam:UntagRole")?;
        }
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let name = found.handle.as_str();
        for policy in found.settings.inline.keys() {
            delete_inline(scope, name, policy).await?;
        }
        for arn in &found.settings.managed {
            detach(scope, name, arn).await?;
        }
        scope
            .clients
            .iam
            .delete_role()
            .role_name(name)
            .send()
            .await
            .absent("iam:DeleteRole", NO_SUCH)?;
        Ok(())
    }
}

/// The inline policies of a role; `None` when the role is gone.
async fn inline(scope: &Scope<'_>, name: &str) -> Result<Option<BTreeMap<String, Vec<Value>>>> {
    let iam = &scope.clients.iam;
    let mut pages = iam.list_role_policies().role_name(name).into_paginator().send();
    let mut found = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let Some(page) = page.absent("iam:ListRolePolicies", NO_SUCH)? else {
            return Ok(None);
        };
        for policy in page.policy_names() {
            let answer = iam.get_role_policy().role_name(name).policy_name(policy).send().await;
            if let Some(answer) = answer.absent("iam:GetRolePolicy", NO_SUCH)? {
                found.insert(policy.clone(), statements(answer.policy_document())?);
            }
        }
    }
    Ok(Some(found))
}

/// The managed policies of a role; `None` when the role is gone.
async fn managed(scope: &Scope<'_>, name: &str) -> Result<Option<Vec<String>>> {
    let call = scope.clients.iam.list_attached_role_policies().role_name(name);
    let mut pages = call.into_paginator().send();
    let mut arns = Vec::new();
    while let Some(page) = pages.next().await {
        let Some(page) = page.absent("iam:ListAttachedRolePolicies", NO_SUCH)? else {
            return Ok(None);
        };
        let attached = page.attached_policies().iter();
        arns.extend(attached.filter_map(|policy| policy.policy_arn()).map(str::to_owned));
    }
    arns.sort();
    Ok(Some(arns))
}

/// Makes what differs as wanted. What narrows comes first, and makes room in the quota of attached policies.
async fn write(scope: &Scope<'_>, name: &str, have: &Desired, wanted: &Desired) -> Result<()> {
    let iam = &scope.clients.iam;
    if let Some(arn) = wanted.permissions_boundary.as_ref()
        && have.permissions_boundary.as_ref() != Some(arn)
    {
        iam.put_role_permissions_boundary()
            .role_name(name)
            .permissions_boundary(arn)
            .send()
            .await
            .during("iam:PutRolePermissionsBoundary")?;
    }
    for policy in have.inline.keys().filter(|policy| !wanted.inline.contains_key(*policy)) {
        delete_inline(scope, name, policy).await?;
    }
    for arn in have.managed.iter().filter(|arn| !wanted.managed.contains(arn)) {
        detach(scope, name, arn).await?;
    }
    for (policy, statements) in &wanted.inline {
        if have.inline.get(policy) != Some(statements) {
            iam.put_role_policy()
                .role_name(name)
                .policy_name(policy)
                .policy_document(policy::document(statements))
                .send()
                .await
                .during("iam:PutRolePolicy")?;
        }
    }
    for arn in wanted.managed.iter().filter(|arn| !have.managed.contains(arn)) {
        iam.attach_role_policy()
            .role_name(name)
            .policy_arn(arn)
            .send()
            .await
            .during("iam:AttachRolePolicy")?;
    }
    if have.trust != wanted.trust {
        iam.update_assume_role_policy()
            .role_name(name)
            .policy_document(policy::document(&wanted.trust))
            .send()
            .await
            .during("iam:UpdateAssumeRolePolicy")?;
    }
    if (&have.description, have.max_session) != (&wanted.description, wanted.max_session) {
        iam.update_role()
            .role_name(name)
            .description(&wanted.description)
            .max_session_duration(wanted.max_session)
            .send()
            .await
            .during("iam:UpdateRole")?;
    }
    if have.permissions_boundary.is_some() && wanted.permissions_boundary.is_none() {
        iam.delete_role_permissions_boundary()
            .role_name(name)
            .send()
            .await
            .absent("iam:DeleteRolePermissionsBoundary", NO_SUCH)?;
    }
    Ok(())
}

async fn delete_inline(scope: &Scope<'_>, name: &str, policy: &str) -> Result<()> {
    let call = scope.clients.iam.delete_role_policy();
    call.role_name(name)
        .policy_name(policy)
        .send()
        .await
        .absent("iam:DeleteRolePolicy", NO_SUCH)
        .map(drop)
}

async fn detach(scope: &Scope<'_>, name: &str, arn: &str) -> Result<()> {
    let call = scope.clients.iam.detach_role_policy();
    call.role_name(name)
        .policy_arn(arn)
        .send()
        .await
        .absent("iam:DetachRolePolicy", NO_SUCH)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::{Desired, Role, statements};
    use crate::kind::AwsKind;
    use serde_json::json;

    fn wanted(change: &serde_json::Value) -> platform_core::Result<Desired> {
        let mut value = json!({"path": "/mlplat/a-dev-1/", "trust": [{"Effect": "Allow",
            "Principal": {"Service": ["b", "a"]}, "Action": ["sts:AssumeRole"]}]});
        for (key, field) in change.as_object().unwrap() {
            value[key] = field.clone();
        }
        Role::normal(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn documents_come_with_percent_signs() {
        let sent = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
            %22Principal%22%3A%7B%22Service%22%3A%5B%22a%22%2C%22b%22%5D%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";
        assert_eq!(statements(sent).unwrap(), wanted(&json!({})).unwrap().trust);
    }

    #[test]
    fn what_iam_would_refuse_is_refused_before_any_call() {
        for change in [
            json!({"path": "mlplat"}),
            json!({"trust": []}),
            json!({"inline": {"empty": []}}),
        ] {
            assert!(wanted(&change).is_err(), "{change}");
        }
        let same = wanted(&json!({"managed": ["b", "a", "b"]})).unwrap();
        assert_eq!(same.managed, ["a", "b"]);
    }
}
