//! `events.Rule`: which events of the account's own bus go where. `PutRule` overwrites what is there and empties what it
//! is not told, so it is always told everything; the rule is described right before.

use super::{AwsKind, Found, Limit, Reach, yes};
use crate::error::Outcome;
use crate::names;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_eventbridge::operation::put_rule::builders::PutRuleFluentBuilder;
use aws_sdk_eventbridge::types::{InputTransformer, Rule as SdkRule, RuleState, Tag, Target as SdkTarget};
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Error, ErrorKind, Field, Holds, KindFacts, NameRule, Result, Risk, RiskRule, State,
    Updating,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Targets that a rule has at most.
const TARGETS: usize = 5;
/// Characters of a pattern.
const PATTERN: usize = 4096;

#[derive(Debug)]
pub(crate) struct Rule;

static FACTS: KindFacts = KindFacts {
    kind: "events.Rule",
    holds: Holds::Nothing,
    // Before the topics that it tells.
    rank: 60,
    name: NameRule {
        max: 64,
        charset: Charset::AwsPath,
    },
    create: Creation::Upsert,
    update: Updating::AtOnce,
    patience: Duration::from_mins(1),
    usually: Duration::from_secs(1),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("enabled").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("targets.*").risk(RiskRule::Removed(Risk::LowersProtection)),
    ],
    calls: Calls {
        read: &[
            "events:ListTagsForResource",
            "events:ListTargetsByRule",
            "events:ListRules",
        ],
        create: &[
            "events:PutRule",
            "events:PutTargets",
            "events:TagResource",
            "events:UntagResource",
            "iam:PassRole",
        ],
        update: &[
            "events:PutRule",
            "events:PutTargets",
            "events:RemoveTargets",
            "events:TagResource",
            "events:UntagResource",
            "iam:PassRole",
        ],
        delete: &["events:RemoveTargets", "events:DeleteRule"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    #[serde(default)]
    description: String,
    /// Which events; this or `schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<Value>,
    /// `rate(1 hour)`, `cron(0 2 * * ? *)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
    /// By id.
    #[serde(default)]
    targets: BTreeMap<String, Target>,
}

/// Where an event goes, and what of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    arn: String,
    /// ARN of the role that EventBridge takes on; queues and topics allow it by their own policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// Parts of the event by name, for `template`: `{"when": "$.time"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, String>,
    /// What is sent. Default: the event as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<String>,
}

/// A builder that lacks a part is a defect of ours.
fn built<T, E: std::fmt::Display>(result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|cause| Error::new(ErrorKind::Internal, cause.to_string()))
}

impl Target {
    fn to_sdk(&self, id: &str) -> Result<SdkTarget> {
        let transform = self
            .template
            .as_ref()
            .map(|template| {
                let parts = self.parts.clone().into_iter().collect();
                built(
                    InputTransformer::builder()
                        .set_input_paths_map(Some(parts))
                        .input_template(template)
                        .build(),
                )
            })
            .transpose()?;
        built(
            SdkTarget::builder()
                .id(id)
                .arn(&self.arn)
                .set_role_arn(self.role.clone())
                .set_input_transformer(transform)
                .build(),
        )
    }

    fn from_sdk(target: &SdkTarget) -> Self {
        let transform = target.input_transformer();
        Self {
            arn: target.arn().to_owned(),
            role: target.role_arn().map(str::to_owned),
            parts: transform
                .and_then(InputTransformer::input_paths_map)
                .map(|parts| parts.clone().into_iter().collect())
                .unwrap_or_default(),
            template: transform.map(|transform| transform.input_template().to_owned()),
        }
    }
}

impl Desired {
    fn put(&self, scope: &Scope<'_>, name: &str) -> PutRuleFluentBuilder {
        let state = if self.enabled {
            RuleState::Enabled
        } else {
            RuleState::Disabled
        };
        scope
            .clients
            .events
            .put_rule()
            .name(name)
            .description(&self.description)
            .set_event_pattern(self.pattern.as_ref().map(Value::to_string))
            .set_schedule_expression(self.schedule.clone())
            .state(state)
    }

    fn same_rule(&self, other: &Self) -> bool {
        (&self.description, &self.pattern, &self.schedule, self.enabled)
            == (&other.description, &other.pattern, &other.schedule, other.enabled)
    }
}

fn sdk_tags(tags: &Tags) -> Result<Vec<Tag>> {
    tags.iter()
        .map(|(key, value)| built(Tag::builder().key(key).value(value).build()))
        .collect()
}

/// Targets are refused one by one in an answer that says 200.
fn refused(count: i32, why: Option<(Option<&str>, Option<&str>)>) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    let (code, message) = why.unwrap_or_default();
    Err(Error::new(
        ErrorKind::Failed,
        format!(
            "{count} targets were refused: {} {}",
            code.unwrap_or_default(),
            message.unwrap_or_default()
        ),
    )
    .with_help("check the targets' ARNs, then run again"))
}

async fn put_targets(scope: &Scope<'_>, name: &str, targets: Vec<SdkTarget>) -> Result<()> {
    if targets.is_empty() {
        return Ok(());
    }
    let answer = scope
        .clients
        .events
        .put_targets()
        .rule(name)
        .set_targets(Some(targets))
        .send()
        .await
        .during("events:PutTargets")?;
    let first = answer.failed_entries().first();
    refused(
        answer.failed_entry_count(),
        first.map(|entry| (entry.error_code(), entry.error_message())),
    )
}

async fn remove_targets(scope: &Scope<'_>, name: &str, ids: Vec<String>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let answer = scope
        .clients
        .events
        .remove_targets()
        .rule(name)
        .set_ids(Some(ids))
        .send()
        .await
        .during("events:RemoveTargets")?;
    let first = answer.failed_entries().first();
    refused(
        answer.failed_entry_count(),
        first.map(|entry| (entry.error_code(), entry.error_message())),
    )
}

/// What the names of the set's rules start with.
fn start<'a>(scope: &'a Scope<'_>) -> &'a str {
    names::start(scope.name_prefix(), FACTS.name.max)
}

/// The rules that are called as the set's are.
async fn of_set(scope: &Scope<'_>) -> Result<Arc<Vec<SdkRule>>> {
    scope.once("rules", Box::pin(starting(scope, start(scope)))).await
}

/// The rules whose names start so, each as a describe would show it.
async fn starting(scope: &Scope<'_>, start: &str) -> Result<Vec<SdkRule>> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let call = scope
            .clients
            .events
            .list_rules()
            .name_prefix(start)
            .set_next_token(next);
        let answer = call.send().await.during("events:ListRules")?;
        found.extend(answer.rules.unwrap_or_default());
        next = answer.next_token;
        if next.is_none() {
            return Ok(found);
        }
    }
}

async fn read_tags(scope: &Scope<'_>, arn: &str) -> Result<Tags> {
    let answer = scope
        .clients
        .events
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await
        .during("events:ListTagsForResource")?;
    Ok(answer
        .tags()
        .iter()
        .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
        .collect())
}

async fn read_targets(scope: &Scope<'_>, name: &str) -> Result<BTreeMap<String, Target>> {
    let mut targets = BTreeMap::new();
    let mut next = None;
    loop {
        let answer = scope
            .clients
            .events
            .list_targets_by_rule()
            .rule(name)
            .set_next_token(next)
            .send()
            .await
            .during("events:ListTargetsByRule")?;
        targets.extend(
            answer
                .targets()
                .iter()
                .map(|target| (target.id().to_owned(), Target::from_sdk(target))),
        );
        next = answer.next_token;
        if next.is_none() {
            return Ok(targets);
        }
    }
}

#[async_trait]
impl AwsKind for Rule {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["events:{region}:{account}:rule/{name}"]);
    const LIMITS: &'static [Limit] = &[
        Limit::new("description", "events:RuleDescription").length(0, 512),
        Limit::new("schedule", "events:ScheduleExpression").length(0, 256),
        Limit::new("targets.{}", "events:TargetId")
            .length(1, 64)
            .pattern(r"[\.\-_A-Za-z0-9]+"),
        Limit::new("targets.*.arn", "events:TargetArn").length(1, 1600),
        Limit::new("targets.*.role", "events:RoleArn").length(1, 1600),
        Limit::new("targets.*.parts", "events:TransformerPaths").length(0, 100),
        Limit::new("targets.*.parts.{}", "events:InputTransformerPathKey")
            .length(1, 256)
            .pattern(r"[A-Za-z0-9\_\-]+"),
        Limit::new("targets.*.parts.*", "events:TargetInputPath").length(0, 256),
        Limit::new("targets.*.template", "events:TransformerInput").length(1, 8192),
    ];
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        let invalid = |what: String, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help));
        if wanted.pattern.is_some() == wanted.schedule.is_some() {
            return invalid(
                "a rule goes by `pattern` or by `schedule`".to_owned(),
                "give one of them",
            );
        }
        if wanted.pattern.as_ref().is_some_and(|pattern| !pattern.is_object()) {
            return invalid("pattern is no object".to_owned(), "give fields with lists of values");
        }
        // As it is sent.
        let long = |pattern: &Value| pattern.to_string().chars().count() > PATTERN;
        if wanted.pattern.as_ref().is_some_and(long) {
            return invalid(
                format!("pattern has more than {PATTERN} characters"),
                "watch for less, or make a second rule",
            );
        }
        if wanted.targets.len() > TARGETS {
            return invalid(
                format!("{} targets", wanted.targets.len()),
                "a rule has at most 5: make a second one",
            );
        }
        for (id, target) in &wanted.targets {
            if target.template.is_none() && !target.parts.is_empty() {
                return invalid(format!("target {id} has parts and no template"), "give `template`");
            }
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let rules = if scope.observes() && name.starts_with(start(scope)) {
            of_set(scope).await?
        } else {
            Arc::new(Box::pin(starting(scope, name)).await?)
        };
        let Some(rule) = rules.iter().find(|rule| rule.name() == Some(name)) else {
            return Ok(None);
        };
        let arn = rule.arn().unwrap_or_default().to_owned();
        let (tags, targets) = futures::try_join!(read_tags(scope, &arn), read_targets(scope, name))?;
        Ok(Some(Found {
            uid: tags::incarnation(&tags, name),
            settings: Desired {
                description: rule.description().unwrap_or_default().to_owned(),
                pattern: rule
                    .event_pattern()
                    .filter(|pattern| !pattern.is_empty())
                    .map(|pattern| serde_json::from_str(pattern).unwrap_or_else(|_| json!(pattern))),
                schedule: rule
                    .schedule_expression()
                    .filter(|schedule| !schedule.is_empty())
                    .map(str::to_owned),
                enabled: rule.state() != Some(&RuleState::Disabled),
                targets,
            },
            tags,
            outputs: BTreeMap::from([("arn".to_owned(), json!(arn)), ("name".to_owned(), json!(name))]),
            handle: arn,
            state: State::Ready,
            doomed: None,
            stranger: rule
                .managed_by()
                .filter(|service| !service.is_empty())
                .map(|service| format!("the AWS service {service}")),
            version: None,
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let rules = of_set(scope).await?;
        Ok(rules.iter().filter_map(|rule| rule.name()).map(str::to_owned).collect())
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        wanted
            .put(scope, name)
            .set_tags(Some(sdk_tags(&tags::born(tags))?))
            .send()
            .await
            .during("events:PutRule")?;
        let targets = wanted.targets.iter().map(|(id, target)| target.to_sdk(id));
        put_targets(scope, name, targets.collect::<Result<_>>()?).await
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let have = &found.settings;
        if !have.same_rule(wanted) {
            wanted.put(scope, name).send().await.during("events:PutRule")?;
        }
        // What is new first: a rule never stands without a target in between.
        let changed = wanted
            .targets
            .iter()
            .filter(|(id, target)| have.targets.get(*id) != Some(target))
            .map(|(id, target)| target.to_sdk(id));
        put_targets(scope, name, changed.collect::<Result<_>>()?).await?;
        let gone = have.targets.keys().filter(|id| !wanted.targets.contains_key(*id));
        remove_targets(scope, name, gone.cloned().collect()).await
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        let events = &scope.clients.events;
        if !put.is_empty() {
            events
                .tag_resource()
                .resource_arn(&found.handle)
                .set_tags(Some(sdk_tags(put)?))
                .send()
                .await
                .during("events:TagResource")?;
        }
        if !remove.is_empty() {
            events
                .untag_resource()
                .resource_arn(&found.handle)
                .set_tag_keys(Some(remove.to_vec()))
                .send()
                .await
                .during("events:UntagResource")?;
        }
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let name = found.handle.rsplit('/').next().unwrap_or_default();
        // EventBridge refuses the delete of a rule with targets.
        remove_targets(scope, name, found.settings.targets.keys().cloned().collect()).await?;
        scope
            .clients
            .events
            .delete_rule()
            .name(name)
            .send()
            .await
            .absent("events:DeleteRule", &["ResourceNotFoundException"])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn a_target_that_is_refused_in_a_good_answer_is_an_error() {
        assert!(refused(0, None).is_ok());
        let error = refused(1, Some((Some("ManagedRuleException"), Some("no")))).unwrap_err();
        assert!(error.to_string().contains("ManagedRuleException"), "{error}");
    }
}
