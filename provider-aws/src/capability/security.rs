//! What secures the platform beside its servers: the secrets that the caller supplies, in Secrets Manager. The key that
//! encrypts everything is part of the foundation; who may connect to a server is its security group's.

use crate::aws::Shared;
use crate::draft::Draft;
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::value::Recipe;
use platform_core::{
    Blueprint, Capability, Context, Error, ErrorKind, Result, Security, SecurityFeatures, SecurityOutputs,
    SecuritySpec, Surface,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The key of the value in a supplied secret.
const VALUE: &str = "value";

/// Keys and secrets of AWS.
#[derive(Debug)]
pub(crate) struct AwsSecurity(pub(crate) Arc<Shared>);

#[async_trait]
impl Security for AwsSecurity {
    fn features(&self) -> SecurityFeatures {
        SecurityFeatures::default()
    }

    fn surface(&self, spec: &SecuritySpec, context: &Context) -> Result<Surface> {
        check(spec, context)?;
        Ok(Surface::default())
    }

    fn blueprint(&self, spec: &SecuritySpec, context: &Context) -> Result<Blueprint<SecurityOutputs>> {
        check(spec, context)?;
        let draft = Draft::new(&self.0, context, Capability::Security.as_str());
        let mut resources = self.0.own_foundation(Capability::Security, context)?;
        let mut secrets = BTreeMap::new();
        for (name, supplied) in &spec.secrets {
            let path = draft.path(name);
            let desired = json!({
                "kms_key": draft.data_key()?,
                "data": { VALUE: Recipe::Supplied(supplied.clone()).to_value() },
            });
            resources.push(draft.resource(draft.id("secretsmanager.Secret", &path)?, desired));
            secrets.insert(name.clone(), format!("secretsmanager.Secret {path}, key {VALUE}"));
        }
        Blueprint::new(resources, &SecurityOutputs { ca: None, secrets })
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

/// Refuses what only a cluster has, where none sees to it.
fn check(spec: &SecuritySpec, context: &Context) -> Result<()> {
    if context.several.contains(&Capability::Security) {
        return Ok(());
    }
    let people = [&spec.people.viewers, &spec.people.operators];
    let asked = [
        ("applications", !spec.applications.is_empty()),
        ("allow", !spec.allow.is_empty()),
        (
            "people",
            people.iter().any(|who| !who.groups.is_empty() || !who.users.is_empty()),
        ),
    ];
    match asked.iter().find(|(_, asked)| *asked) {
        None => Ok(()),
        Some((key, _)) => Err(Error::new(
            ErrorKind::Unsupported,
            "this is about namespaces, and no cluster is part of the platform",
        )
        .with_context("config", format!("security.{key}"))
        .with_help("remove it, or place security on kubernetes")),
    }
}
