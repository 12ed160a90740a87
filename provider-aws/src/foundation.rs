//! What the capabilities share: the key that encrypts their data.

use crate::aws::Shared;
use crate::draft::{DATA_KEY, Draft};
use platform_core::{Capability, Context, Resource, Result};
use serde_json::json;
use std::collections::BTreeSet;

const COMPONENT: &str = "foundation";

/// What the wanted capabilities share.
pub(crate) fn resources(shared: &Shared, wanted: &BTreeSet<Capability>, context: &Context) -> Result<Vec<Resource>> {
    let draft = Draft::new(shared, context, COMPONENT);
    let mut resources = Vec::new();
    if !wanted.is_empty() {
        resources.push(draft.resource(
            draft.id("kms.Key", &draft.path(DATA_KEY))?,
            json!({ "description": format!("data of {}", context.set) }),
        ));
    }
    Ok(resources)
}
