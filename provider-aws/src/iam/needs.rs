//! What writes ask of IAM, one action at a time, so that it can be asked beforehand.

use super::{Rights, When};
use crate::kind::iam_role::Role;
use crate::kind::{AwsKind, Kinds};
use platform_core::value::{ResourceId, SetId};
use platform_core::{PlannedWrite, Verb};
use std::collections::{BTreeMap, BTreeSet};

/// What writes ask of IAM: an action, done in any of these ways.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) action: &'static str,
    /// One that is allowed is enough.
    pub(crate) ways: BTreeSet<Way>,
    /// Which write needs it; `None` for the lease.
    pub(crate) by: Option<PlannedWrite>,
}

/// On which ARN, and what the call tells IAM beside it.
pub(crate) type Way = (String, Told);

/// Condition keys with their values.
pub(crate) type Told = BTreeMap<String, String>;

/// What these writes of a set, all in this region, do to their own objects, to the roles that they give away, and to the
/// lease. What a service does on behalf of the caller is left out: the object's own policy may allow it.
pub(crate) fn needs(kinds: Kinds, account: &str, region: &str, set: &SetId, writes: &[PlannedWrite]) -> Vec<Need> {
    let mut rights = Rights::new(account, set);
    rights.lease(region, true);
    for write in writes {
        if let Some(kind) = kinds.find(write.id.kind()) {
            rights.write(kind, write, region);
        }
    }
    let new_role = |write: &&PlannedWrite| write.verb == Verb::Create && write.id.kind().as_str() == Role::FACTS.kind;
    let roles = writes.iter().filter(new_role).map(|write| write.id.name().as_str());
    let roles: Vec<String> = roles
        .map(|name| rights.arn("iam::{account}:role/mlplat/{set}/{name}", region, name))
        .collect();
    let mut needs: BTreeMap<(Option<&ResourceId>, &'static str), Need> = BTreeMap::new();
    for ((arn, when), actions) in rights.all {
        let arns = match when {
            When::Passed(_) => &roles[..],
            _ => std::slice::from_ref(&arn),
        };
        let contexts = when.contexts(set);
        let ways = arns
            .iter()
            .flat_map(|arn| contexts.iter().map(|context| (arn.clone(), context.clone())));
        let ways: BTreeSet<Way> = ways.collect();
        for (action, by) in actions.into_iter().filter(|_| !ways.is_empty()) {
            // On which of a kind's ARNs an action is, only IAM's reference tells: one that is allowed is enough.
            for by in by {
                let need = needs
                    .entry((by.map(|write| &write.id), action))
                    .or_insert_with(|| Need {
                        action,
                        ways: BTreeSet::new(),
                        by: by.cloned(),
                    });
                need.ways.extend(ways.iter().cloned());
            }
        }
    }
    needs.into_values().collect()
}
