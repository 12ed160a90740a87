//! Roles that services and workloads act by.

use crate::draft::Draft;
use platform_core::value::{SetId, TAG_PREFIX};
use platform_core::{Resource, Result};
use serde_json::{Value, json};

/// The longest name of a role.
const MAX_NAME: usize = 64;

/// The path that the roles of a set lie under.
pub(crate) fn path(set: &SetId) -> String {
    format!("/{}/{set}/", TAG_PREFIX.trim_end_matches(':'))
}

/// Trust in services of AWS: `eks.amazonaws.com`.
pub(crate) fn services(principals: &[&str]) -> Vec<Value> {
    vec![json!({
        "Effect": "Allow",
        "Principal": { "Service": principals },
        "Action": "sts:AssumeRole",
    })]
}

/// Trust in pods of the account's clusters, by EKS Pod Identity.
pub(crate) fn pods(account: &str) -> Vec<Value> {
    vec![json!({
        "Effect": "Allow",
        "Principal": { "Service": "pods.eks.amazonaws.com" },
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": { "StringEquals": { "aws:SourceAccount": account } },
    })]
}

impl Draft<'_> {
    /// A role, within the options' permissions boundary: `inline` holds statements by the name of a policy.
    pub(crate) fn role(
        &self,
        part: &str,
        trust: &[Value],
        inline: &[(&str, Vec<Value>)],
        managed: &[String],
    ) -> Result<Resource> {
        let inline: serde_json::Map<String, Value> = inline
            .iter()
            .map(|(name, statements)| ((*name).to_owned(), json!(statements)))
            .collect();
        let mut desired = json!({
            "path": path(&self.context.set),
            "description": format!("{part} of {}", self.context.set),
            "trust": trust,
            "inline": inline,
            "managed": managed,
        });
        if let Some(boundary) = &self.shared.options.permissions_boundary {
            desired["permissions_boundary"] = json!(boundary);
        }
        Ok(self.resource(self.id("iam.Role", &self.role_name(part))?, desired))
    }

    /// The name of a role.
    pub(crate) fn role_name(&self, part: &str) -> String {
        self.called("iam.Role", &self.name(part, MAX_NAME)).to_owned()
    }

    /// The ARN of a role.
    pub(crate) fn role_arn(&self, part: &str) -> String {
        let role = format!("role{}{}", path(&self.context.set), self.role_name(part));
        self.global_arn("iam", &self.shared.options.account, &role)
    }

    /// The ARN of a managed policy of AWS: `service-role/AmazonRDSEnhancedMonitoringRole`.
    pub(crate) fn managed_policy(&self, name: &str) -> String {
        self.global_arn("iam", "aws", &format!("policy/{name}"))
    }
}
