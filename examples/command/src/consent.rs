//! Who agrees to what.

use crate::Exit;
use crate::args::Common;
use anyhow::{Result, bail};
use platform_core::engine::{Approvals, Plan};
use platform_core::value::ResourceId;

/// The approvals that the command line gives.
pub(crate) fn approvals(plan: &Plan, options: &Common) -> Result<Approvals> {
    let demands = plan.demands();
    let by = holder();
    let mut approvals = demands.accept(&options.accept, &by, &options.reason);
    for token in &options.approve {
        match demands.accept_one(token, &by, &options.reason) {
            Some(approval) => approvals = approvals.with(approval),
            None => bail!("--approve {token}: this plan has no such demand; copy one from the plan"),
        }
    }
    Ok(approvals)
}

/// What an apply of the plan would come to.
pub(crate) fn verdict(plan: &Plan, approvals: &Approvals) -> Exit {
    let approved = |resource: &ResourceId, risk| {
        approvals
            .iter()
            .any(|approval| &approval.resource == resource && approval.risk == risk)
    };
    let missing = plan.demands().iter().any(|demand| {
        !demand.optional && plan.policy.risks.contains(&demand.risk) && !approved(&demand.resource, demand.risk)
    });
    if plan.counts().blocked > 0 {
        Exit::Refused
    } else if missing {
        Exit::Unapproved
    } else if plan.is_empty() {
        Exit::Done
    } else {
        Exit::Changes
    }
}

/// `user@host:pid`, as others read who holds the lease and who approved.
pub(crate) fn holder() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let host = std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .unwrap_or_default();
    let host = match host.trim() {
        "" => "somewhere",
        host => host,
    };
    format!("{user}@{host}:{}", std::process::id())
}
