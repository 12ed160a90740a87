//! Two passes: every capability states its surface, then every blueprint is drawn knowing all surfaces.

use crate::config::{PlatformConfig, ProviderName};
use crate::lower::Specs;
use platform_core::engine::PlanRequest;
use platform_core::value::ResourceId;
use platform_core::{Blueprint, Capability, Context, Error, ErrorKind, Resource, Result, Stack, Surface, Surfaces};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The providers of a platform.
pub(crate) type Stacks = BTreeMap<ProviderName, Arc<dyn Stack>>;

/// Everything that a config asks for, as one request.
pub(crate) fn request(
    config: &PlatformConfig,
    specs: &Specs,
    context: &Context,
    stacks: &Stacks,
) -> Result<PlanRequest> {
    let context = with_surfaces(config, specs, context, stacks)?;
    let mut draft = Draft::default();
    for (provider, stack) in stacks {
        let here: BTreeSet<Capability> = specs
            .wanted()
            .filter(|capability| config.placed(*capability).contains(provider))
            .collect();
        if here.is_empty() {
            continue;
        }
        draft.add(stack.foundation(&here, &context)?)?;
        for capability in here {
            let several = config.placed(capability).len() > 1;
            let (resources, outputs) = blueprint(capability, specs, &context, stack.as_ref())?;
            draft.add(resources)?;
            draft.outputs(capability, several.then_some(*provider), outputs);
        }
    }
    for object in context.leave.keys() {
        let is_it = |id: &ResourceId| *object == format!("{}/{}", id.kind(), id.name());
        if !draft.resources.keys().any(is_it) {
            return Err(
                Error::new(ErrorKind::Invalid, format!("the platform asks for no {object}"))
                    .with_context("config", "leave")
                    .with_help("copy KIND/NAME from a plan; the name is the one that `names` gives"),
            );
        }
    }
    Ok(PlanRequest {
        set: context.set.clone(),
        resources: draft.resources.into_values().collect(),
        outputs: Value::Object(draft.outputs),
        only: None,
        adopt: BTreeSet::new(),
        words: words(config, &context, stacks),
    })
}

/// The words that only this platform has, and what each stands for in another environment.
pub(crate) fn words(config: &PlatformConfig, context: &Context, stacks: &Stacks) -> BTreeMap<String, String> {
    let mut words = context.words();
    let account = config.aws.as_ref().map(|aws| aws.account.clone());
    words.extend(account.map(|account| (account, "<account>".to_owned())));
    let mut places = stacks.values().map(|stack| stack.place().as_ref());
    let first = places.find_map(|place| place.strip_prefix("aws/"));
    let second = config.backup.as_ref().and_then(|backup| backup.second_region());
    for (region, meaning) in first
        .into_iter()
        .zip(["<region>"])
        .chain(second.into_iter().zip(["<second region>"]))
    {
        words.insert(region.to_owned(), meaning.to_owned());
        words.extend(('a'..='h').map(|zone| (format!("{region}{zone}"), format!("{meaning}{zone}"))));
    }
    words
}

/// The context of blueprints: with every capability's surface.
pub(crate) fn with_surfaces(
    config: &PlatformConfig,
    specs: &Specs,
    context: &Context,
    stacks: &Stacks,
) -> Result<Context> {
    let mut context = context.clone();
    context.surfaces = surfaces(config, specs, &context, stacks)?;
    Ok(context)
}

fn surfaces(config: &PlatformConfig, specs: &Specs, context: &Context, stacks: &Stacks) -> Result<Surfaces> {
    let mut surfaces = Surfaces::default();
    for capability in specs.wanted() {
        let merged = surfaces.0.entry(capability).or_default();
        for provider in config.placed(capability) {
            let Some(stack) = stacks.get(&provider) else { continue };
            let Surface {
                endpoints,
                client,
                workloads,
                scrapes,
                data,
                subjects,
                backs_up,
            } = surface(capability, specs, context, stack.as_ref())?;
            merged.endpoints.extend(endpoints);
            merged.client = merged.client.take().or(client);
            merged.workloads.extend(workloads);
            merged.scrapes.extend(scrapes);
            merged.data.extend(data);
            merged.subjects.extend(subjects);
            merged.backs_up.extend(backs_up);
        }
    }
    Ok(surfaces)
}

/// Whether a stack has a capability in this version.
pub(crate) fn has(stack: &dyn Stack, capability: Capability) -> bool {
    match capability {
        Capability::Database => stack.database().is_some(),
        Capability::Cache => stack.cache().is_some(),
        Capability::Storage => stack.storage().is_some(),
        Capability::Monitoring => stack.monitoring().is_some(),
        Capability::Security => stack.security().is_some(),
        Capability::Backup => stack.backup().is_some(),
    }
}

/// Runs an expression on the provider and spec of a capability.
macro_rules! on {
    ($capability:expr, $specs:expr, $stack:expr, |$provider:ident, $spec:ident| $body:expr) => {
        match $capability {
            Capability::Database => match (&$specs.database, $stack.database()) {
                (Some($spec), Some($provider)) => $body,
                _ => Err(missing($capability)),
            },
            Capability::Cache => match (&$specs.cache, $stack.cache()) {
                (Some($spec), Some($provider)) => $body,
                _ => Err(missing($capability)),
            },
            Capability::Storage => match (&$specs.storage, $stack.storage()) {
                (Some($spec), Some($provider)) => $body,
                _ => Err(missing($capability)),
            },
            Capability::Monitoring => match (&$specs.monitoring, $stack.monitoring()) {
                (Some($spec), Some($provider)) => $body,
                _ => Err(missing($capability)),
            },
            Capability::Security => match (&$specs.security, $stack.security()) {
                (Some($spec), Some($provider)) => $body,
                _ => Err(missing($capability)),
            },
            Capability::Backup => match (&$specs.backup, $stack.backup()) {
                (Some($spec), Some($provider)) => $body,
                _ => Err(missing($capability)),
            },
        }
    };
}

fn surface(capability: Capability, specs: &Specs, context: &Context, stack: &dyn Stack) -> Result<Surface> {
    on!(capability, specs, stack, |provider, spec| provider
        .surface(spec, context))
}

fn blueprint(
    capability: Capability,
    specs: &Specs,
    context: &Context,
    stack: &dyn Stack,
) -> Result<(Vec<Resource>, Value)> {
    fn untyped<O: Serialize + DeserializeOwned>(blueprint: Blueprint<O>) -> (Vec<Resource>, Value) {
        (blueprint.resources, blueprint.outputs)
    }
    on!(capability, specs, stack, |provider, spec| provider
        .blueprint(spec, context)
        .map(untyped))
}

fn missing(capability: Capability) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("{capability} is not available here in this version"),
    )
}

#[derive(Debug, Default)]
struct Draft {
    resources: BTreeMap<platform_core::value::ResourceId, Resource>,
    outputs: Map<String, Value>,
}

impl Draft {
    fn add(&mut self, resources: Vec<Resource>) -> Result<()> {
        for resource in resources {
            match self.resources.entry(resource.id.clone()) {
                Entry::Vacant(place) => {
                    place.insert(resource);
                }
                Entry::Occupied(present) if *present.get() == resource => {}
                Entry::Occupied(present) => {
                    return Err(Error::new(
                        ErrorKind::Internal,
                        format!(
                            "{} and {} both ask for it, differently",
                            present.get().component,
                            resource.component
                        ),
                    )
                    .with_context("resource", &resource.id));
                }
            }
        }
        Ok(())
    }

    /// Outputs stand under their capability; where one lives on several providers, below their names.
    fn outputs(&mut self, capability: Capability, provider: Option<ProviderName>, outputs: Value) {
        let key = capability.as_str().to_owned();
        match provider {
            None => {
                self.outputs.insert(key, outputs);
            }
            Some(provider) => {
                let place = self.outputs.entry(key).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = place {
                    map.insert(provider.as_str().to_owned(), outputs);
                }
            }
        }
    }
}
