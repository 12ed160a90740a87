//! Making an empty server.

use super::{Desired, ENGINE};
use crate::error::Outcome;
use crate::kind::rds::sdk_tags;
use crate::provider::Scope;
use crate::tags::Tags;
use platform_core::Result;

/// What a create and both restores take alike.
macro_rules! alike {
    ($call:expr, $wanted:expr, $tags:expr) => {
        $call
            .db_instance_class(&$wanted.class)
            .allocated_storage($wanted.storage_gib)
            .storage_type(&$wanted.storage_type)
            .manage_master_user_password($wanted.secret_key.is_some())
            .set_master_user_secret_kms_key_id($wanted.secret_key.clone())
            .db_subnet_group_name(&$wanted.subnet_group)
            .set_vpc_security_group_ids(Some($wanted.security_groups.clone()))
            .db_parameter_group_name(&$wanted.parameter_group)
            .port($wanted.port)
            .publicly_accessible(!$wanted.private)
            .multi_az($wanted.multi_az)
            .deletion_protection($wanted.deletion_protection)
            .enable_iam_database_authentication($wanted.iam_authentication)
            .ca_certificate_identifier(&$wanted.ca)
            .set_enable_cloudwatch_logs_exports(Some($wanted.log_exports.clone()))
            .copy_tags_to_snapshot($wanted.copy_tags_to_snapshots)
            .auto_minor_version_upgrade($wanted.minor_upgrades)
            .backup_retention_period($wanted.backup_days)
            .preferred_backup_window(&$wanted.backup_window)
            .set_tags(Some($tags))
    };
}
pub(super) use alike;

pub(super) async fn new(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags) -> Result<()> {
    let monitoring = wanted.monitoring.as_ref();
    alike!(scope.clients.rds.create_db_instance(), wanted, sdk_tags(tags))
        .db_instance_identifier(name)
        .engine(ENGINE)
        .engine_version(&wanted.engine_version)
        .set_db_name(wanted.database.clone())
        .master_username(&wanted.username)
        .storage_encrypted(wanted.kms_key.is_some())
        .set_kms_key_id(wanted.kms_key.clone())
        .preferred_maintenance_window(&wanted.maintenance_window)
        .enable_performance_insights(wanted.insights_key.is_some())
        .set_performance_insights_kms_key_id(wanted.insights_key.clone())
        .set_performance_insights_retention_period(wanted.insights_key.as_ref().map(|_| super::week()))
        .monitoring_interval(monitoring.map_or(0, |monitoring| monitoring.seconds))
        .set_monitoring_role_arn(monitoring.map(|monitoring| monitoring.role.clone()))
        .send()
        .await
        .during("rds:CreateDBInstance")?;
    Ok(())
}
