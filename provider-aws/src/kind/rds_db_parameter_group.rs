//! `rds.DbParameterGroup`: settings of a database server. A group belongs to one major version for ever, so its name should
//! hold it: `ml-platform-prod-postgres17`.
//!
//! A static parameter takes effect when an instance that uses the group restarts, which is that instance's change: it
//! shows `parameters_applied: false` until then.

use super::rds::{candidates, sdk_tags, tag, tags_at};
use super::{AwsKind, Found, Reach, yes};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_rds::types::{ApplyMethod, DbParameterGroup as SdkGroup, Parameter};
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, NameRule, Result, Risk, RiskRule,
    State, Updating,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const ABSENT: &[&str] = &["DBParameterGroupNotFound"];
/// RDS takes 255; the id tag holds the kind too.
const MAX_NAME: usize = 200;
/// Parameters that one call takes.
const BATCH: usize = 20;
/// Refuses connections without TLS.
const FORCE_SSL: &str = "rds.force_ssl";

#[derive(Debug)]
pub(crate) struct DbParameterGroup;

static FACTS: KindFacts = KindFacts {
    kind: "rds.DbParameterGroup",
    holds: Holds::Nothing,
    // After the instances that use it.
    rank: 25,
    name: NameRule {
        max: MAX_NAME,
        charset: Charset::AwsIdentifier,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(5),
    usually: Duration::from_secs(3),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("family")
            .changes(FieldChange::NewName)
            .instead("a group belongs to one major version: give that of the other version a name of its own"),
        Field::new("description")
            .changes(FieldChange::Never)
            .instead("RDS never changes it: set it back, or give the group another name"),
        Field::new("force_ssl").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
    ],
    calls: Calls {
        read: &[
            "rds:DescribeDBParameterGroups",
            "rds:DescribeDBParameters",
            "rds:ListTagsForResource",
            "tag:GetResources",
        ],
        create: &[
            "rds:CreateDBParameterGroup",
            "rds:ModifyDBParameterGroup",
            "rds:ResetDBParameterGroup",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
        ],
        update: &[
            "rds:ModifyDBParameterGroup",
            "rds:ResetDBParameterGroup",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
        ],
        delete: &["rds:DeleteDBParameterGroup"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// `postgres17`.
    family: String,
    #[serde(default = "description")]
    description: String,
    /// Connections without TLS are refused.
    #[serde(default = "yes")]
    force_ssl: bool,
    /// Beside that, values by name as RDS writes them; a name that is not here has the default of its family.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

fn description() -> String {
    "settings of databases".to_owned()
}

impl Desired {
    /// What stands in the group.
    fn all(&self) -> BTreeMap<&str, &str> {
        let ssl = (FORCE_SSL, if self.force_ssl { "1" } else { "0" });
        let others = self
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        others.chain([ssl]).collect()
    }
}

/// All of the account and region, whoever's they are.
async fn all(scope: &Scope<'_>) -> Result<Vec<SdkGroup>> {
    let pages = scope.clients.rds.describe_db_parameter_groups().into_paginator();
    pages
        .items()
        .send()
        .try_collect()
        .await
        .during("rds:DescribeDBParameterGroups")
}

#[async_trait]
impl AwsKind for DbParameterGroup {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["rds:{region}:{account}:pg:{name}"]);
    const MADE_BY: &'static [&'static str] = &["description"];
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        if wanted.parameters.contains_key(FORCE_SSL) {
            return Err(
                Error::new(ErrorKind::Invalid, format!("{FORCE_SSL} among the parameters"))
                    .with_help("it is a setting of its own: `force_ssl`"),
            );
        }
        if wanted.description.is_empty() {
            return Err(
                Error::new(ErrorKind::Invalid, "a parameter group without a description").with_help("RDS wants one"),
            );
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let is_it = |group: &SdkGroup| group.db_parameter_group_name() == Some(name);
        let by_name = async {
            let call = scope.clients.rds.describe_db_parameter_groups();
            let answer = call.db_parameter_group_name(name).send().await;
            let answer = answer.absent("rds:DescribeDBParameterGroups", ABSENT)?;
            Ok(answer.and_then(|answer| answer.db_parameter_groups?.into_iter().next()))
        };
        let group = scope.find(FACTS.kind, all(scope), is_it, by_name).await?;
        let Some(group) = group else {
            return Ok(None);
        };
        let arn = group.db_parameter_group_arn().unwrap_or(name).to_owned();
        let tags = tags_at(scope, &arn).await?;
        let mut parameters: BTreeMap<String, String> = parameters(scope, name, Some("user"))
            .await?
            .iter()
            .filter_map(|parameter| {
                Some((
                    parameter.parameter_name()?.to_owned(),
                    parameter.parameter_value()?.to_owned(),
                ))
            })
            .collect();
        let force_ssl = parameters.remove(FORCE_SSL).is_some_and(|value| value == "1");
        let settings = Desired {
            family: group.db_parameter_group_family().unwrap_or_default().to_owned(),
            description: group.description().unwrap_or_default().to_owned(),
            force_ssl,
            parameters,
        };
        Ok(Some(Found::of_arn(name, &arn, settings, tags, State::Ready)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let all = scope.once(FACTS.kind, all(scope)).await?;
        let names = all.iter().filter_map(|group| group.db_parameter_group_name());
        let names = names.map(str::to_owned).collect();
        candidates(scope, names, MAX_NAME, FACTS.kind, "rds:pg").await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        scope
            .clients
            .rds
            .create_db_parameter_group()
            .db_parameter_group_name(name)
            .db_parameter_group_family(&wanted.family)
            .description(&wanted.description)
            .set_tags(Some(sdk_tags(&tags::born(tags))))
            .send()
            .await
            .during("rds:CreateDBParameterGroup")?;
        put(
            scope,
            name,
            wanted
                .all()
                .into_iter()
                .map(|(key, value)| (key, Some(value)))
                .collect(),
        )
        .await
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        if (&found.settings.family, &found.settings.description) != (&wanted.family, &wanted.description) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a parameter group keeps its family and description",
            ));
        }
        let (have, want) = (found.settings.all(), wanted.all());
        let gone = have
            .keys()
            .filter(|key| !want.contains_key(*key))
            .map(|key| (*key, None));
        let changed = want.iter().filter(|(key, value)| have.get(*key) != Some(*value));
        put(
            scope,
            name,
            changed.map(|(key, value)| (*key, Some(*value))).chain(gone).collect(),
        )
        .await
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let name = found.handle.rsplit(':').next().unwrap_or(&found.handle);
        scope
            .clients
            .rds
            .delete_db_parameter_group()
            .db_parameter_group_name(name)
            .send()
            .await
            .absent("rds:DeleteDBParameterGroup", ABSENT)?;
        Ok(())
    }
}

/// Parameters of a group: those that somebody set, or all.
async fn parameters(scope: &Scope<'_>, name: &str, source: Option<&str>) -> Result<Vec<Parameter>> {
    let mut pages = scope
        .clients
        .rds
        .describe_db_parameters()
        .db_parameter_group_name(name)
        .set_source(source.map(str::to_owned))
        .into_paginator()
        .items()
        .send();
    let mut all = Vec::new();
    while let Some(parameter) = pages.next().await {
        all.push(parameter.during("rds:DescribeDBParameters")?);
    }
    Ok(all)
}

/// Sets parameters, or back to their defaults: dynamic ones at once, static ones by the next restart.
async fn put(scope: &Scope<'_>, name: &str, values: BTreeMap<&str, Option<&str>>) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let dynamic: BTreeSet<String> = parameters(scope, name, None)
        .await?
        .iter()
        .filter(|parameter| parameter.apply_type() == Some("dynamic"))
        .filter_map(|parameter| parameter.parameter_name().map(str::to_owned))
        .collect();
    let change = |(name, value): (&str, Option<&str>)| {
        let when = if dynamic.contains(name) {
            ApplyMethod::Immediate
        } else {
            ApplyMethod::PendingReboot
        };
        Parameter::builder()
            .parameter_name(name)
            .set_parameter_value(value.map(str::to_owned))
            .apply_method(when)
            .build()
    };
    let (reset, set): (Vec<_>, Vec<_>) = values.into_iter().partition(|(_, value)| value.is_none());
    let (reset, set): (Vec<_>, Vec<_>) = (
        reset.into_iter().map(change).collect(),
        set.into_iter().map(change).collect(),
    );
    for batch in set.chunks(BATCH) {
        scope
            .clients
            .rds
            .modify_db_parameter_group()
            .db_parameter_group_name(name)
            .set_parameters(Some(batch.to_vec()))
            .send()
            .await
            .during("rds:ModifyDBParameterGroup")?;
    }
    for batch in reset.chunks(BATCH) {
        scope
            .clients
            .rds
            .reset_db_parameter_group()
            .db_parameter_group_name(name)
            .reset_all_parameters(false)
            .set_parameters(Some(batch.to_vec()))
            .send()
            .await
            .during("rds:ResetDBParameterGroup")?;
    }
    Ok(())
}
