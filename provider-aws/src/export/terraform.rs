//! A Terraform plan, as `terraform show -json` writes it and as Checkov, Trivy and policies of OPA read it.
//!
//! A kind holds everything on an object that cannot carry a tag, so one resource becomes several of Terraform: `aws_s3_bucket`,
//! `aws_s3_bucket_versioning` and so on. What one refers to another by stays a reference, also where its value is known.

mod data;
mod network;
mod operations;

use super::of::{JSON, Of, document, has_none, is_aws, json_text, leads_out};
use crate::aws::region_of;
use platform_core::value::{Digest, Reference, ResourceId, references, resolve};
use platform_core::{Resource, Result};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const PROVIDER: &str = "registry.terraform.io/hashicorp/aws";
/// What reads a plan asks for; the plan was made by no Terraform.
const TERRAFORM: &str = "1.11.4";
/// Characters of the hash by which two resources are told apart whose names Terraform spells alike.
const HASH: usize = 6;

/// A plan that creates all of these in an account: what lies on AWS, the rest has judges of its own. No value of a secret is in it.
///
/// # Errors
/// `Unsupported` for a kind that Terraform does not have, `Invalid` for wishes that a kind refuses and for references to what is
/// not among the resources.
pub fn terraform(account: &str, resources: &[Resource]) -> Result<Value> {
    let mut parts = Vec::new();
    let mut named = Named::default();
    for resource in resources.iter().filter(|resource| is_aws(resource.id.place())) {
        let of = Of::new(account, resource)?;
        let made = data::parts(&of)
            .or_else(|| operations::parts(&of))
            .or_else(|| network::parts(&of))
            .ok_or_else(|| has_none("Terraform", &resource.id))?;
        let name = named.name(&resource.id);
        if let Some(first) = made.first() {
            let address = format!("{}.{name}", first.r#type);
            named.addresses.insert(resource.id.clone(), address);
        }
        if let Some(arn) = of.arn() {
            named.arns.insert(arn, Reference::new(resource.id.clone(), "arn"));
        }
        parts.extend(
            made.into_iter()
                .map(|part| (resource.id.place().clone(), name.clone(), part)),
        );
    }
    let home = parts.first().map(|(place, ..)| place.clone());
    let (mut planned, mut changes, mut configured) = (Vec::new(), Vec::new(), Vec::new());
    let mut providers = Map::new();
    for (place, name, part) in parts {
        let region = region_of(&place).to_owned();
        let provider = if Some(&place) == home.as_ref() {
            "aws".to_owned()
        } else {
            format!("aws.{region}")
        };
        providers.entry(provider.clone()).or_insert_with(|| {
            json!({ "name": "aws", "full_name": PROVIDER, "expressions": { "region": { "constant_value": region } } })
        });
        let name = match part.suffix.as_str() {
            "" => name,
            suffix => format!("{name}_{}", spelt(suffix)),
        };
        let mut shown = Shown::default();
        for (key, value) in part.values {
            shown.show(&key, &value, &named)?;
        }
        let head = json!({
            "address": format!("{}.{name}", part.r#type), "mode": "managed", "type": part.r#type, "name": name,
        });
        planned.push(with(&head, json!({
            "provider_name": PROVIDER, "schema_version": 0, "values": shown.after, "sensitive_values": shown.sensitive,
        })));
        changes.push(with(
            &head,
            json!({
                "provider_name": PROVIDER,
                "change": {
                    "actions": ["create"], "before": null, "after": shown.after, "after_unknown": shown.unknown,
                    "before_sensitive": false, "after_sensitive": shown.sensitive,
                },
            }),
        ));
        configured.push(with(
            &head,
            json!({
                "provider_config_key": provider, "schema_version": 0, "expressions": shown.expressions,
            }),
        ));
    }
    Ok(json!({
        "format_version": "1.2",
        "terraform_version": TERRAFORM,
        "planned_values": { "root_module": { "resources": planned } },
        "resource_changes": changes,
        "configuration": { "provider_config": providers, "root_module": { "resources": configured } },
    }))
}

fn with(head: &Value, more: Value) -> Value {
    let mut all = head.as_object().cloned().unwrap_or_default();
    if let Value::Object(more) = more {
        all.extend(more);
    }
    Value::Object(all)
}

/// As Terraform spells a name.
fn spelt(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let spelt: String = name.chars().map(legal).collect();
    if spelt.starts_with(|c: char| c.is_ascii_alphabetic()) {
        spelt
    } else {
        format!("_{spelt}")
    }
}

/// A policy of these statements, as Terraform writes it.
fn policy_text(statements: &[Value]) -> Value {
    json_text(&document(statements))
}

/// Where resources lie in the plan.
#[derive(Debug, Default)]
struct Named {
    names: BTreeSet<String>,
    addresses: BTreeMap<ResourceId, String>,
    arns: BTreeMap<String, Reference>,
}

impl Named {
    /// A name that no resource of the same kind has.
    fn name(&mut self, id: &ResourceId) -> String {
        let name = spelt(id.name().as_str());
        if self.names.insert(format!("{}/{name}", id.kind())) {
            return name;
        }
        format!("{name}_{}", Digest::of(id).short(HASH))
    }

    /// `aws_kms_key.data.arn`, `aws_kms_key.data`.
    fn paths(&self, reference: &Reference) -> Result<[String; 2]> {
        let address = self.addresses.get(&reference.id).ok_or_else(|| leads_out(reference))?;
        let attribute = match (reference.id.kind().as_str(), reference.output.as_str()) {
            ("rds.DbInstance", "host") => "address",
            ("rds.DbInstance", "secret_arn") => "master_user_secret",
            ("rds.DbInstance", "name") => "identifier",
            ("elasticache.User", "name") => "user_id",
            ("elasticache.UserGroup", "name") => "user_group_id",
            ("s3.Bucket", "name") => "id",
            ("eks.Cluster", "security_group") => "vpc_config[0].cluster_security_group_id",
            (_, output) => output,
        };
        Ok([format!("{address}.{attribute}"), address.clone()])
    }
}

/// The values of one resource, as a plan shows them.
#[derive(Debug, Default)]
struct Shown {
    after: Map<String, Value>,
    unknown: Map<String, Value>,
    sensitive: Map<String, Value>,
    expressions: Map<String, Value>,
}

impl Shown {
    fn show(&mut self, key: &str, value: &Value, named: &Named) -> Result<()> {
        if value.is_null() {
            return Ok(());
        }
        let key = key.to_owned();
        if value.get("$secret").is_some() {
            self.after.insert(key.clone(), Value::Null);
            self.sensitive.insert(key.clone(), Value::Bool(true));
            self.expressions.insert(key, json!({}));
        } else if let Some(blocks) = blocks(value) {
            let mut all = Vec::new();
            for block in blocks {
                let mut shown = Self::default();
                for (key, value) in block {
                    shown.show(key, value, named)?;
                }
                all.push(shown);
            }
            let each = |of: fn(&Self) -> &Map<String, Value>| all.iter().map(|one| json!(of(one))).collect::<Value>();
            self.after.insert(key.clone(), each(|one| &one.after));
            self.unknown.insert(key.clone(), each(|one| &one.unknown));
            self.sensitive.insert(key.clone(), each(|one| &one.sensitive));
            self.expressions.insert(key, each(|one| &one.expressions));
        } else {
            let mut links = references(value);
            // the name of what is there already leads nowhere
            links.retain(|link| link.output != "name" || named.addresses.contains_key(&link.id));
            if value.get(JSON).is_none() {
                links.extend(texts(value).iter().filter_map(|text| named.arns.get(*text).cloned()));
            }
            let mut paths = Vec::new();
            for link in &links {
                paths.extend(named.paths(link)?);
            }
            match known(value, named)? {
                Some(known) => {
                    if paths.is_empty() {
                        self.expressions.insert(key.clone(), json!({ "constant_value": known }));
                    }
                    self.after.insert(key.clone(), known);
                }
                None => {
                    self.unknown.insert(key.clone(), Value::Bool(true));
                }
            }
            if !paths.is_empty() {
                self.expressions.insert(key, json!({ "references": paths }));
            }
        }
        Ok(())
    }
}

/// What Terraform writes as blocks: a list of objects.
fn blocks(value: &Value) -> Option<Vec<&Map<String, Value>>> {
    let items = value.as_array().filter(|items| !items.is_empty())?;
    let all: Option<Vec<_>> = items.iter().map(Value::as_object).collect();
    all.filter(|_| items.iter().all(|item| Reference::of_value(item).is_none()))
}

/// All texts in a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The value, if it is known before anything is made: names are, and so is all of a document but its references.
fn known(value: &Value, named: &Named) -> Result<Option<Value>> {
    if let Some(document) = value.get(JSON) {
        let mut paths = BTreeMap::new();
        for reference in references(document) {
            let [path, _] = named.paths(&reference)?;
            paths.insert(reference.to_string(), format!("${{{path}}}"));
        }
        let text = resolve(document, &|reference: &Reference| {
            paths.get(&reference.to_string()).map(|path| json!(path))
        });
        return Ok(Some(Value::String(text.to_string())));
    }
    let known = resolve(value, &|reference: &Reference| {
        let slash = if reference.id.kind().as_str() == "logs.LogGroup" {
            "/"
        } else {
            ""
        };
        (reference.output == "name").then(|| json!(format!("{slash}{}", reference.id.name())))
    });
    Ok(references(&known).is_empty().then_some(known))
}
