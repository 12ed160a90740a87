//! Templates of CloudFormation, one a region, as cfn-lint reads them.
//!
//! What one resource refers to another by stays a reference (`Ref`, `Fn::GetAtt`), and so does an ARN of what comes before it
//! anyway; what only another region can name is a parameter here and an output there.

mod data;
mod names;
mod network;
mod operations;
mod value;

use super::of::{Of, Part, has_none, is_aws, list, some};
use crate::aws::region_of;
use names::Named;
use platform_core::value::ResourceId;
use platform_core::{Holds, OnRemoval, Resource, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use value::Template;

/// Templates that create all of these in an account, by region: what lies on AWS, the rest has judges of its own. No value of a
/// secret is in them: where an object cannot be without one it is a parameter.
///
/// # Errors
/// `Unsupported` for a kind that CloudFormation does not have, `Invalid` for wishes that a kind refuses and for references to
/// what is not among the resources.
pub fn cloudformation(account: &str, resources: &[Resource]) -> Result<BTreeMap<String, Value>> {
    let mut named = Named::default();
    let mut drawn = Vec::new();
    for resource in resources.iter().filter(|resource| is_aws(resource.id.place())) {
        let of = Of::new(account, resource)?;
        let parts = data::parts(&of)
            .or_else(|| operations::parts(&of))
            .or_else(|| network::parts(&of))
            .ok_or_else(|| has_none("CloudFormation", &resource.id))?;
        named.add(&of, &parts);
        drawn.push((resource, parts));
    }
    let before = before(&drawn);
    let mut templates: BTreeMap<String, Template<'_>> = BTreeMap::new();
    for (resource, parts) in &drawn {
        let template = templates
            .entry(region_of(resource.id.place()).to_owned())
            .or_insert_with(|| Template::new(&named, resource.id.place()));
        for (index, part) in parts.iter().enumerate() {
            let properties = template.properties(resource, &part.values, &before)?;
            let mut made = json!({ "Type": part.r#type, "Properties": properties });
            if let Some(policy) = removal(resource, index == 0) {
                made["DeletionPolicy"] = json!(policy);
                made["UpdateReplacePolicy"] = json!(policy);
            }
            let depends = if index == 0 {
                named.parts_of(&resource.dependencies(), resource.id.place(), &made)
            } else {
                BTreeSet::new()
            };
            if !depends.is_empty() {
                made["DependsOn"] = json!(depends);
            }
            template.resources.insert(named.logical(&resource.id, index), made);
        }
    }
    // what another region asked for is an output here
    let asked: Vec<_> = templates.values().flat_map(|template| template.asked.clone()).collect();
    for reference in asked {
        if let Some(template) = templates.get_mut(region_of(reference.id.place())) {
            template.tell(&reference)?;
        }
    }
    Ok(templates
        .into_iter()
        .map(|(region, template)| (region, template.whole()))
        .collect())
}

/// Everything that stands before a resource, directly or not.
fn before<'a>(drawn: &[(&'a Resource, Vec<Part>)]) -> BTreeMap<&'a ResourceId, BTreeSet<ResourceId>> {
    let direct: BTreeMap<&ResourceId, BTreeSet<ResourceId>> = drawn
        .iter()
        .map(|(resource, _)| (&resource.id, resource.dependencies()))
        .collect();
    let all = |id: &ResourceId| {
        let (mut found, mut left) = (BTreeSet::new(), vec![id]);
        while let Some(next) = left.pop() {
            for id in direct.get(next).into_iter().flatten() {
                if found.insert(id.clone()) {
                    left.push(id);
                }
            }
        }
        found
    };
    drawn
        .iter()
        .map(|(resource, _)| (&resource.id, all(&resource.id)))
        .collect()
}

/// What becomes of a part when the stack no longer has it. CloudFormation asks nobody: what is deleted here only with an approval
/// stays.
fn removal(resource: &Resource, is_first: bool) -> Option<&'static str> {
    let of_kind = || crate::facts(resource.id.kind()).map_or(Holds::Nothing, |facts| facts.holds);
    let holds = resource.holds.unwrap_or_else(of_kind);
    match resource.on_removal {
        OnRemoval::Retain => Some("Retain"),
        OnRemoval::Delete if holds == Holds::Durable => Some("Retain"),
        OnRemoval::Snapshot if is_first => Some("Snapshot"),
        OnRemoval::Delete if is_first => Some("Delete"),
        _ => None,
    }
}

/// Pairs as a list: `[{"Key": .., "Value": ..}]`.
fn pairs(map: &Value, key: &str) -> Value {
    let pairs = map.as_object().into_iter().flatten();
    pairs
        .map(|(name, value)| json!({ key: name, "Value": value }))
        .collect()
}

/// Tags, as most types take them.
fn tags(of: &Of<'_>) -> Value {
    some(list(&pairs(&of.tags, "Key")))
}
