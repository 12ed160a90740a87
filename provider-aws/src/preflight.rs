//! What would refuse writes, found before the first: rights that are missing, quotas that are used up.
//!
//! Rights are asked of IAM's policy simulator, which knows the caller's policies, permissions boundary and the
//! organisation's policies, but no session policy and no policy of an object. So only what is certain is a finding: who may not ask, the root
//! user, and what depends on something that only a real call tells (an address, a time) are taken as allowed.

use crate::error::Outcome;
use crate::iam::{self, Need, Told, Way};
use crate::provider::Scope;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType};
use futures::stream::{StreamExt, TryStreamExt, iter};
use platform_core::value::Kind;
use platform_core::{Finding, PlannedWrite, Result, Verb};
use std::collections::{BTreeMap, BTreeSet};

/// Questions at a time: IAM is one service for all regions, and slow to anger.
const PARALLEL: usize = 4;
/// ARNs in one question at most.
const MAX_RESOURCES: usize = 40;
/// Services whose objects have policies of their own, which may allow what the caller's do not.
const WITH_POLICIES: &[&str] = &["backup", "kms", "s3", "secretsmanager", "sns"];

pub(crate) async fn preflight(scope: &Scope<'_>, writes: &[PlannedWrite]) -> Result<Vec<Finding>> {
    let unknown = writes
        .iter()
        .filter(|write| write.verb != Verb::Delete && scope.kinds.find(write.id.kind()).is_none());
    let mut findings: Vec<Finding> = unknown
        .map(|write| Finding {
            id: Some(write.id.clone()),
            message: format!("this version knows no kind {}", write.id.kind()),
            help: "update the library, or add the crate that has this kind".to_owned(),
        })
        .collect();
    findings.extend(rights(scope, writes).await);
    findings.extend(quotas(scope, writes).await);
    Ok(findings)
}

/// What the caller may not do, as far as IAM says so.
async fn rights(scope: &Scope<'_>, writes: &[PlannedWrite]) -> Vec<Finding> {
    let Some(principal) = principal(scope).await else {
        return Vec::new();
    };
    let mut needs = iam::needs(scope.kinds, scope.account(), scope.region(), scope.set(), writes);
    let mut denied = Vec::new();
    // One way after the other: what the first way allows needs no second question.
    for round in 0.. {
        let asked: Vec<(Need, Way)> = needs
            .drain(..)
            .filter_map(|need| {
                let way = need.ways.iter().nth(round)?.clone();
                Some((need, way))
            })
            .collect();
        if asked.is_empty() {
            break;
        }
        let Ok(refused) = ask(scope, &principal, &asked).await else {
            return Vec::new();
        };
        for (need, (arn, context)) in asked {
            let question = (arn, context, need.action);
            let Some(decision) = refused.get(&question) else {
                continue;
            };
            if need.ways.len() > round + 1 {
                needs.push(need);
            } else if is_certain(&need, &question.0, decision) {
                denied.push((need, question.0));
            }
        }
    }
    let mut by_object: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for (need, arn) in denied {
        let id = need.by.map(|write| write.id);
        by_object.entry((id, arn)).or_default().insert(need.action);
    }
    let told = by_object.into_iter().map(|((id, arn), actions)| {
        let for_what = id
            .as_ref()
            .map_or_else(|| "the lease".to_owned(), |id| format!("{} {}", id.kind(), id.name()));
        let actions: Vec<&str> = actions.into_iter().collect();
        Finding {
            id,
            message: format!(
                "{principal} may not {} on {arn}, needed for {for_what}",
                actions.join(", ")
            ),
            help: "grant them: the command `rights`, or `Platform::rights`, tells all that a plan needs".to_owned(),
        }
    });
    told.collect()
}

/// Whom to ask about: the user, or the role of a session. `None` for the root user, who may do everything, and for a session
/// that belongs to neither.
async fn principal(scope: &Scope<'_>) -> Option<String> {
    let caller = &scope.account.caller;
    let (place, who) = caller.rsplit_once(':')?;
    match who.split('/').collect::<Vec<_>>()[..] {
        ["user", ..] if place.contains(":iam:") => Some(caller.clone()),
        ["assumed-role", role, _] => {
            let found = scope.clients.iam.get_role().role_name(role).send().await;
            let path = found.ok().and_then(|found| Some(found.role?.arn));
            // A role without a path has this ARN; of another one IAM knows nothing, and nothing is found.
            Some(path.unwrap_or_else(|| format!("arn:{}:iam::{}:role/{role}", scope.partition(), scope.account())))
        }
        _ => None,
    }
}

type Question = (String, Told, &'static str);

/// The questions that are answered with no. What shares context and actions is asked in one call.
async fn ask(
    scope: &Scope<'_>,
    principal: &str,
    asked: &[(Need, Way)],
) -> Result<BTreeMap<Question, PolicyEvaluationDecisionType>> {
    let mut by_way: BTreeMap<&Way, BTreeSet<&'static str>> = BTreeMap::new();
    for (need, way) in asked {
        by_way.entry(way).or_default().insert(need.action);
    }
    let mut calls: BTreeMap<(&Told, BTreeSet<&'static str>), Vec<&str>> = BTreeMap::new();
    for ((arn, context), actions) in by_way {
        calls.entry((context, actions)).or_default().push(arn);
    }
    let calls = calls.iter().flat_map(|((context, actions), arns)| {
        let chunks = arns.chunks(MAX_RESOURCES);
        chunks.map(move |arns| simulate(scope, principal, context, actions, arns))
    });
    // Collected first: the compiler cannot see through a stream of borrowing futures.
    let calls: Vec<_> = calls.collect();
    let answers: Vec<Vec<_>> = iter(calls).buffer_unordered(PARALLEL).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

async fn simulate(
    scope: &Scope<'_>,
    principal: &str,
    context: &Told,
    actions: &BTreeSet<&'static str>,
    arns: &[&str],
) -> Result<Vec<(Question, PolicyEvaluationDecisionType)>> {
    let mut entries: Vec<ContextEntry> = context.iter().map(|(key, value)| entry(key, value)).collect();
    // IAM's own calls go to one region for all.
    if !actions.iter().any(|action| action.starts_with("iam:")) {
        entries.push(entry("aws:RequestedRegion", scope.region()));
    }
    let mut pages = scope
        .clients
        .iam
        .simulate_principal_policy()
        .policy_source_arn(principal)
        .set_action_names(Some(actions.iter().map(ToString::to_string).collect()))
        .set_resource_arns(Some(arns.iter().map(ToString::to_string).collect()))
        .set_context_entries(Some(entries))
        .into_paginator()
        .send();
    let mut refused = Vec::new();
    while let Some(page) = pages.next().await {
        for result in page.during(iam::SIMULATE)?.evaluation_results() {
            let Some(action) = actions.iter().find(|action| **action == result.eval_action_name()) else {
                continue;
            };
            for (arn, decision) in decisions(result) {
                if decision != PolicyEvaluationDecisionType::Allowed {
                    refused.push(((arn.to_owned(), context.clone(), *action), decision));
                }
            }
        }
    }
    Ok(refused)
}

fn entry(key: &str, value: &str) -> ContextEntry {
    ContextEntry::builder()
        .context_key_name(key)
        .context_key_values(value)
        .context_key_type(ContextKeyTypeEnum::String)
        .build()
}

/// What IAM says of each resource. One that it could not judge for want of something that the real call tells is allowed.
fn decisions(result: &EvaluationResult) -> Vec<(&str, PolicyEvaluationDecisionType)> {
    let judged = |missing: &[String], decision: &PolicyEvaluationDecisionType| {
        if missing.is_empty() {
            decision.clone()
        } else {
            PolicyEvaluationDecisionType::Allowed
        }
    };
    let each = result.resource_specific_results();
    if each.is_empty() {
        let arn = result.eval_resource_name().unwrap_or_default();
        return vec![(arn, judged(result.missing_context_values(), result.eval_decision()))];
    }
    let each = each.iter().map(|one| {
        let missing = one.missing_context_values();
        (one.eval_resource_name(), judged(missing, one.eval_resource_decision()))
    });
    each.collect()
}

/// Whether the real call would be refused as well: a policy of the object may allow it, and a policy may name an object that
/// only an id of AWS's tells.
fn is_certain(need: &Need, arn: &str, decision: &PolicyEvaluationDecisionType) -> bool {
    let is_new = need.by.as_ref().is_none_or(|write| write.verb == Verb::Create);
    let has_policy = WITH_POLICIES.iter().any(|service| need.action.starts_with(service));
    let is_named = arn == "*" || !arn.contains('*');
    *decision == PolicyEvaluationDecisionType::ExplicitDeny || is_new || (is_named && !has_policy)
}

/// Creates that the account's quotas have no room for, as far as it says so.
async fn quotas(scope: &Scope<'_>, writes: &[PlannedWrite]) -> Vec<Finding> {
    let mut creates: BTreeMap<&Kind, Vec<&PlannedWrite>> = BTreeMap::new();
    for write in writes.iter().filter(|write| write.verb == Verb::Create) {
        creates.entry(write.id.kind()).or_default().push(write);
    }
    let mut findings = Vec::new();
    for (kind, creates) in creates {
        let room = match scope.kinds.find(kind) {
            Some(known) => known.room(scope).await,
            None => continue,
        };
        // Whoever may not ask finds out at the create, which says the same.
        let Ok(Some(room)) = room else { continue };
        let free = room.limit.saturating_sub(room.used);
        if let Some(first) = creates.get(usize::try_from(free).unwrap_or(usize::MAX)) {
            findings.push(Finding {
                id: Some(first.id.clone()),
                message: format!(
                    "no room for {} more {}: the account has {} of {} in {}",
                    creates.len(),
                    room.of,
                    room.used,
                    room.limit,
                    scope.region()
                ),
                help: format!(
                    "ask AWS for more in Service Quotas ({}), or remove what is not used",
                    room.quota
                ),
            });
        }
    }
    findings
}
