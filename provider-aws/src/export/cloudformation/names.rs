//! What things are called in a template, and how another resource refers to them.

use super::super::of::{Of, Part};
use crate::aws::region_of;
use platform_core::value::{Digest, Place, Reference, ResourceId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Characters of the hash by which two names are told apart that are spelt alike.
const HASH: usize = 6;

/// Where resources lie in the templates.
#[derive(Debug, Default)]
pub(super) struct Named {
    taken: BTreeSet<(Place, String)>,
    /// The names of a resource's parts, the first of which is the object itself.
    parts: BTreeMap<ResourceId, Vec<String>>,
    arns: BTreeMap<String, ResourceId>,
}

impl Named {
    pub(super) fn add(&mut self, of: &Of<'_>, parts: &[Part]) {
        let own = format!("{}{}", spelt(of.id.kind().as_str()), spelt(of.name()));
        let names = parts
            .iter()
            .enumerate()
            .map(|(index, part)| {
                let r#type = part.r#type.rsplit("::").next().unwrap_or_default();
                let name = match index {
                    0 => own.clone(),
                    _ => format!("{own}{type}{}", spelt(&part.suffix)),
                };
                self.single(of.id, name, &(of.id, index, &part.suffix))
            })
            .collect();
        self.parts.insert(of.id.clone(), names);
        if let Some(arn) = of.arn() {
            self.arns.insert(arn, of.id.clone());
        }
    }

    /// A name that no other resource at its place has.
    fn single(&mut self, id: &ResourceId, name: String, of: &impl serde::Serialize) -> String {
        if self.taken.insert((id.place().clone(), name.clone())) {
            return name;
        }
        let name = format!("{name}{}", Digest::of(of).short(HASH));
        self.taken.insert((id.place().clone(), name.clone()));
        name
    }

    /// What a part of a resource is called.
    pub(super) fn logical(&self, id: &ResourceId, index: usize) -> String {
        let names = self.parts.get(id);
        names.and_then(|names| names.get(index)).cloned().unwrap_or_default()
    }

    pub(super) fn has(&self, id: &ResourceId) -> bool {
        self.parts.contains_key(id)
    }

    /// What has this ARN.
    pub(super) fn of_arn(&self, arn: &str) -> Option<&ResourceId> {
        self.arns.get(arn)
    }

    /// The ARN of a resource, where that can be computed.
    pub(super) fn arn_of(&self, id: &ResourceId) -> Option<&str> {
        self.arns.iter().find(|(_, of)| *of == id).map(|(arn, _)| arn.as_str())
    }

    /// The parts of these resources at a place that a part which is drawn does not refer to anyway.
    pub(super) fn parts_of(&self, ids: &BTreeSet<ResourceId>, place: &Place, made: &Value) -> BTreeSet<String> {
        let mut parts: BTreeSet<String> = ids
            .iter()
            .filter(|id| region_of(id.place()) == region_of(place))
            .flat_map(|id| self.parts.get(id).into_iter().flatten().cloned())
            .collect();
        forget_linked(&mut parts, made);
        parts
    }

    /// How a resource in the same template refers to an output; `None` where CloudFormation has no word for it.
    pub(super) fn link(&self, reference: &Reference) -> Option<Value> {
        let logical = self.logical(&reference.id, 0);
        Some(match attribute(reference.id.kind().as_str(), &reference.output)? {
            Attribute::Itself => json!({ "Ref": logical }),
            Attribute::Of(attribute) => json!({ "Fn::GetAtt": [logical, attribute] }),
            Attribute::Text(text) => json!(format!("{text}{}", reference.id.name())),
        })
    }
}

fn forget_linked(parts: &mut BTreeSet<String>, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| forget_linked(parts, item)),
        Value::Object(map) => {
            let to = map
                .get("Ref")
                .or_else(|| map.get("Fn::GetAtt").and_then(|path| path.get(0)));
            if let Some(Value::String(to)) = to {
                parts.remove(to);
            }
            map.values().for_each(|value| forget_linked(parts, value));
        }
        _ => {}
    }
}

/// How CloudFormation calls an output.
#[derive(Clone, Copy, Debug)]
enum Attribute {
    /// What `Ref` gives.
    Itself,
    /// What `Fn::GetAtt` gives.
    Of(&'static str),
    /// This, then the object's name.
    Text(&'static str),
}

/// The output that `Ref` gives; empty where it is none of ours.
fn itself(kind: &str) -> &'static str {
    match kind {
        "kms.Key" => "key_id",
        "secretsmanager.Secret" | "sns.Topic" => "arn",
        "ec2.ElasticIp" => "public_ip",
        "backup.Plan"
        | "ec2.Vpc"
        | "ec2.Subnet"
        | "ec2.InternetGateway"
        | "ec2.NatGateway"
        | "ec2.RouteTable"
        | "ec2.VpcEndpoint"
        | "ec2.FlowLog" => "id",
        "events.Rule" | "cloudwatch.CompositeAlarm" | "ec2.SecurityGroup" => "",
        eks if eks.starts_with("eks.") && eks != "eks.Cluster" => "",
        _ => "name",
    }
}

fn attribute(kind: &str, output: &str) -> Option<Attribute> {
    use Attribute::{Itself, Of, Text};
    if output == itself(kind) {
        return Some(Itself);
    }
    Some(match (kind, output) {
        ("kms.Key", "alias") => Text("alias/"),
        ("rds.DbInstance", "arn") => Of("DBInstanceArn"),
        ("rds.DbInstance", "host") => Of("Endpoint.Address"),
        ("rds.DbInstance", "resource_id") => Of("DbiResourceId"),
        ("rds.DbInstance", "secret_arn") => Of("MasterUserSecret.SecretArn"),
        ("rds.DbParameterGroup", "arn") => Of("DBParameterGroupArn"),
        ("rds.DbSubnetGroup", "arn") => Of("DBSubnetGroupArn"),
        ("elasticache.ReplicationGroup", "endpoint") => Of("PrimaryEndPoint.Address"),
        ("elasticache.ReplicationGroup", "port") => Of("PrimaryEndPoint.Port"),
        ("elasticache.ReplicationGroup", "reader") => Of("ReaderEndPoint.Address"),
        ("sns.Topic", "name") => Of("TopicName"),
        ("backup.Vault", "arn") => Of("BackupVaultArn"),
        ("backup.Plan", "arn") => Of("BackupPlanArn"),
        ("eks.Cluster", "endpoint") => Of("Endpoint"),
        ("eks.Cluster", "certificate_authority") => Of("CertificateAuthorityData"),
        ("eks.Cluster", "security_group") => Of("ClusterSecurityGroupId"),
        ("eks.AccessEntry", "arn") => Of("AccessEntryArn"),
        ("eks.PodIdentityAssociation", "arn") => Of("AssociationArn"),
        ("ec2.ElasticIp", "id") => Of("AllocationId"),
        ("ec2.SecurityGroup", "id") => Of("GroupId"),
        (
            "kms.Key"
            | "s3.Bucket"
            | "iam.Role"
            | "elasticache.User"
            | "elasticache.UserGroup"
            | "cloudwatch.Alarm"
            | "cloudwatch.CompositeAlarm"
            | "events.Rule"
            | "eks.Cluster"
            | "eks.Nodegroup"
            | "eks.Addon",
            "arn",
        ) => Of("Arn"),
        (_, "name") => Text(""),
        _ => return None,
    })
}

/// As CloudFormation spells a name: letters and digits.
pub(super) fn spelt(name: &str) -> String {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}
