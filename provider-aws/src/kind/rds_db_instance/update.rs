//! Changes of a server, at once and not in its next maintenance window.

use super::read::{describe, found, state, waiting};
use super::{Desired, FACTS};
use crate::error::Outcome;
use crate::provider::Scope;
use aws_sdk_rds::types::{CloudwatchLogsExportConfiguration, DbInstance};
use platform_core::{Error, ErrorKind, Result, State};
use std::time::Duration;

/// Between two looks at a server that changes.
const PAUSE: Duration = Duration::from_secs(15);
/// How often, and after what pause, a server is looked at that has not begun to change.
const LOOKS: u32 = 6;
const SOON: Duration = Duration::from_secs(5);

/// Makes what differs as wanted, as soon as RDS takes changes; restarts only if `restarts`.
pub(super) async fn converge(scope: &Scope<'_>, name: &str, wanted: &Desired, restarts: bool) -> Result<()> {
    let have = found(scope, name, &settled(scope, name).await?).settings;
    if modify(scope, name, &have, wanted).await? {
        begun(scope, name).await?;
    }
    if restarts && !have.parameters_applied {
        settled(scope, name).await?;
        scope
            .clients
            .rds
            .reboot_db_instance()
            .db_instance_identifier(name)
            .send()
            .await
            .during("rds:RebootDBInstance")?;
    }
    Ok(())
}

/// Sends what differs; says whether anything does.
async fn modify(scope: &Scope<'_>, name: &str, have: &Desired, wanted: &Desired) -> Result<bool> {
    let unchanged = Desired {
        parameters_applied: have.parameters_applied,
        restore: have.restore.clone(),
        ..wanted.clone()
    } == *have;
    if unchanged {
        return Ok(false);
    }
    refuse(have, wanted)?;
    let text = |have: &String, wanted: &String| (have != wanted).then(|| wanted.clone());
    let number = |have: i32, wanted: i32| (have != wanted).then_some(wanted);
    let flag = |have: bool, wanted: bool| (have != wanted).then_some(wanted);
    let (monitoring, insights) = (wanted.monitoring.as_ref(), wanted.insights_key.as_ref());
    let monitors = have.monitoring != wanted.monitoring;
    let insight = have.insights_key != wanted.insights_key;
    scope
        .clients
        .rds
        .modify_db_instance()
        .db_instance_identifier(name)
        .apply_immediately(true)
        .set_db_instance_class(text(&have.class, &wanted.class))
        .set_allocated_storage(number(have.storage_gib, wanted.storage_gib))
        .set_storage_type(text(&have.storage_type, &wanted.storage_type))
        .set_vpc_security_group_ids(
            (have.security_groups != wanted.security_groups).then(|| wanted.security_groups.clone()),
        )
        .set_db_parameter_group_name(text(&have.parameter_group, &wanted.parameter_group))
        .set_db_port_number(number(have.port, wanted.port))
        .set_publicly_accessible(flag(have.private, wanted.private).map(|private| !private))
        .set_multi_az(flag(have.multi_az, wanted.multi_az))
        .set_deletion_protection(flag(have.deletion_protection, wanted.deletion_protection))
        .set_enable_iam_database_authentication(flag(have.iam_authentication, wanted.iam_authentication))
        .set_ca_certificate_identifier(text(&have.ca, &wanted.ca))
        .set_enable_performance_insights(insight.then_some(insights.is_some()))
        .set_performance_insights_kms_key_id(insights.filter(|_| insight).cloned())
        .set_performance_insights_retention_period(insights.filter(|_| insight).map(|_| super::week()))
        .set_monitoring_interval(monitors.then(|| monitoring.map_or(0, |monitoring| monitoring.seconds)))
        .set_monitoring_role_arn(
            monitoring
                .filter(|_| monitors)
                .map(|monitoring| monitoring.role.clone()),
        )
        .set_cloudwatch_logs_export_configuration(exports(have, wanted))
        .set_copy_tags_to_snapshot(flag(have.copy_tags_to_snapshots, wanted.copy_tags_to_snapshots))
        .set_auto_minor_version_upgrade(flag(have.minor_upgrades, wanted.minor_upgrades))
        .set_backup_retention_period(number(have.backup_days, wanted.backup_days))
        .set_preferred_backup_window(text(&have.backup_window, &wanted.backup_window))
        .set_preferred_maintenance_window(text(&have.maintenance_window, &wanted.maintenance_window))
        .send()
        .await
        .during("rds:ModifyDBInstance")?;
    Ok(true)
}

/// What no change reaches.
fn refuse(have: &Desired, wanted: &Desired) -> Result<()> {
    let fixed = [
        ("engine_version", have.engine_version == wanted.engine_version),
        ("kms_key", have.kms_key == wanted.kms_key),
        ("database", have.database == wanted.database),
        ("username", have.username == wanted.username),
        ("secret_key", have.secret_key == wanted.secret_key),
        ("subnet_group", have.subnet_group == wanted.subnet_group),
    ];
    match fixed.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((field, _)) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("{field} of an instance cannot be changed"),
        )
        .with_help("plan again: the plan says what to do instead")),
    }
}

fn exports(have: &Desired, wanted: &Desired) -> Option<CloudwatchLogsExportConfiguration> {
    let missing = |from: &[String], of: &[String]| -> Vec<String> {
        of.iter().filter(|log| !from.contains(log)).cloned().collect()
    };
    let (enable, disable) = (
        missing(&have.log_exports, &wanted.log_exports),
        missing(&wanted.log_exports, &have.log_exports),
    );
    let some = |logs: Vec<String>| (!logs.is_empty()).then_some(logs);
    (!enable.is_empty() || !disable.is_empty()).then(|| {
        CloudwatchLogsExportConfiguration::builder()
            .set_enable_log_types(some(enable))
            .set_disable_log_types(some(disable))
            .build()
    })
}

/// The server once RDS takes changes of it.
async fn settled(scope: &Scope<'_>, name: &str) -> Result<DbInstance> {
    let until = scope.clock.elapsed() + FACTS.patience;
    loop {
        let instance = present(scope, name).await?;
        match state(instance.db_instance_status().unwrap_or_default()) {
            State::Ready | State::Failed { .. } => return Ok(instance),
            State::Deleting { .. } => return Err(gone()),
            State::Progressing { what } if scope.clock.elapsed() > until => {
                return Err(Error::new(ErrorKind::Timeout, what).with_help("run again to go on waiting"));
            }
            State::Progressing { .. } => scope.clock.sleep(PAUSE).await,
        }
    }
}

/// For a moment a server that was told to change looks as if it was not.
async fn begun(scope: &Scope<'_>, name: &str) -> Result<()> {
    for _ in 0..LOOKS {
        let instance = present(scope, name).await?;
        if instance.db_instance_status() != Some("available") || waiting(&instance).is_empty() {
            return Ok(());
        }
        scope.clock.sleep(SOON).await;
    }
    Ok(())
}

async fn present(scope: &Scope<'_>, name: &str) -> Result<DbInstance> {
    describe(scope, name).await?.ok_or_else(gone)
}

fn gone() -> Error {
    Error::new(ErrorKind::Conflict, "the instance is gone, or on its way").with_help("plan again")
}
