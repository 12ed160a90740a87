//! A plan: a value with a digest. It can be printed, stored, approved and compared.

use super::approve::Policy;
use crate::blueprint::{Blueprint, Context};
use crate::error::Result;
use crate::facts::{FieldChange, Risk};
use crate::provider::{PlannedWrite, Verb};
use crate::resource::{Actor, Holds, Resource};
use crate::value::{Digest, FieldPath, Place, PlaceIdentity, ResourceId, SetId, Timestamp, Uid};
use crate::{Error, ErrorKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the engine is asked to plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// Whose objects.
    pub set: SetId,
    /// What should be; nothing for a destroy.
    pub resources: Vec<Resource>,
    /// Outputs, with references.
    pub outputs: Value,
    /// Only these components and what they depend on; such a run never prunes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<BTreeSet<String>>,
    /// Objects of nobody that may be taken over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub adopt: BTreeSet<ResourceId>,
    /// Words that only this environment has (its names, its account), and what each stands for: plans of two environments are
    /// compared without them ([`Plan::promotion`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, String>,
}

impl PlanRequest {
    /// Everything of a blueprint.
    pub fn of<O>(context: &Context, blueprint: Blueprint<O>) -> Self {
        Self {
            set: context.set.clone(),
            resources: blueprint.resources,
            outputs: blueprint.outputs,
            only: None,
            adopt: BTreeSet::new(),
            words: context.words(),
        }
    }

    /// Nothing: removes what the set owns, keeping what holds data.
    pub fn destroy(set: SetId) -> Self {
        Self {
            set,
            resources: Vec::new(),
            outputs: Value::Null,
            only: None,
            adopt: BTreeSet::new(),
            words: BTreeMap::new(),
        }
    }

    /// Only these components and what they depend on.
    pub fn with_only(mut self, components: impl IntoIterator<Item = String>) -> Self {
        self.only = Some(components.into_iter().collect());
        self
    }

    /// Objects of nobody that may be taken over.
    pub fn with_adopt(mut self, ids: impl IntoIterator<Item = ResourceId>) -> Self {
        self.adopt.extend(ids);
        self
    }

    /// The resources that the request is about: all, or those of `only` and what they need.
    pub(crate) fn selected(&self, needs: &dyn Fn(&Resource) -> BTreeSet<ResourceId>) -> Vec<&Resource> {
        let Some(only) = &self.only else {
            return self.resources.iter().collect();
        };
        let by_id: BTreeMap<&ResourceId, &Resource> = self.resources.iter().map(|r| (&r.id, r)).collect();
        let mut chosen = BTreeSet::new();
        let mut queue: Vec<&Resource> = self
            .resources
            .iter()
            .filter(|resource| only.contains(&resource.component))
            .collect();
        while let Some(resource) = queue.pop() {
            if chosen.insert(&resource.id) {
                queue.extend(needs(resource).iter().filter_map(|id| by_id.get(id).copied()));
            }
        }
        self.resources
            .iter()
            .filter(|resource| chosen.contains(&resource.id))
            .collect()
    }
}

/// What happens to one object. The closed vocabulary: printed words follow from it and the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    Unchanged,
    /// It is made.
    Create,
    /// It is changed where it stands.
    Update,
    /// It is deleted and made again.
    Replace,
    /// It is taken into the set.
    Adopt,
    /// It leaves the set and stays, with its data.
    Release,
    /// It is deleted.
    Delete,
    /// It cannot be done; says why.
    Blocked,
}

impl Action {
    /// What it writes.
    pub(crate) const fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Create => &[Verb::Create],
            Self::Update => &[Verb::Update],
            Self::Replace => &[Verb::Delete, Verb::Create],
            Self::Adopt => &[Verb::Adopt],
            Self::Release => &[Verb::Release],
            Self::Delete => &[Verb::Delete],
            Self::Unchanged | Self::Blocked => &[],
        }
    }
}

/// Why a step is in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The wish is new or changed.
    Wish,
    /// The world changed, the wish did not.
    Drift,
    /// The wish is gone.
    Removed,
    /// The library calls it otherwise now ([`Resource::formerly`]).
    Renamed,
    /// Its time has come: what it holds is made again before it ends.
    Time,
    /// A run was killed, or the object is still on its way.
    Unfinished,
    /// Nothing.
    Settled,
}

/// Why a step cannot be done, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Why.
    pub why: String,
    /// What to do.
    pub help: String,
}

/// Whether a change comes from the wish or from the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The wish changed.
    Wish,
    /// Somebody changed the object.
    Drift,
    /// The wish changed and somebody else holds the field.
    Conflict,
    /// The time of the plan.
    Time,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub path: FieldPath,
    /// As it is; absent when it is not set.
    pub before: Option<Value>,
    /// As it will be; absent when it is removed; a reference while not known.
    pub after: Option<Value>,
    /// What the change means for the running object.
    pub effect: FieldChange,
    /// What it puts at risk.
    pub risk: Option<Risk>,
    /// Where it comes from.
    pub origin: Origin,
    /// Who changed it in the world.
    pub actor: Option<Actor>,
    /// Known only after another step ran: it may turn out to be no change.
    pub unknown: bool,
}

/// What happens to one object, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Which object.
    pub id: ResourceId,
    /// Heading in the plan.
    pub component: String,
    /// What happens.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// The incarnation it happens to; absent for a create.
    pub uid: Option<Uid>,
    /// What it holds.
    pub holds: Holds,
    /// Field by field; empty for creates and deletes.
    pub changes: Vec<Change>,
    /// What it puts at risk.
    pub risks: BTreeSet<Risk>,
    /// It is deleted instead of released when an approval names its uid.
    pub deletable: bool,
    /// Kept objects that cannot be without it: it is deleted with the last of them.
    pub kept_for: BTreeSet<ResourceId>,
    /// Ready now, so nothing waits for it.
    pub ready: bool,
    /// Why the server could not be asked.
    pub unverified: Option<String>,
    /// Why it cannot be done.
    pub blocked: Option<Blocked>,
    /// What the API said beside it, and what else is worth knowing.
    pub warnings: Vec<String>,
}

impl Step {
    /// Whether it writes.
    pub fn writes(&self) -> bool {
        !matches!(self.action, Action::Unchanged | Action::Blocked)
    }

    /// Whether both do the same to the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.essence() == other.essence()
    }

    /// Hash of what makes two steps the same.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.essence())
    }

    /// What makes two steps the same: object, incarnation, action, changes and risks. Not the state, not the warnings.
    fn essence(&self) -> impl Serialize + PartialEq {
        let changes: Vec<_> = self
            .changes
            .iter()
            .map(|change| (&change.path, &change.before, &change.after, change.effect))
            .collect();
        (
            &self.id,
            &self.uid,
            self.action,
            self.holds,
            changes,
            &self.risks,
            self.deletable,
            &self.kept_for,
        )
    }
}

/// How many objects get which action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Writes other than releases.
    pub change: usize,
    /// Releases.
    pub kept: usize,
    /// Unchanged.
    pub unchanged: usize,
    /// Blocked.
    pub blocked: usize,
}

/// What an apply would do: a value.
///
/// Its digest and demands are recomputed whenever they are asked for, never read from a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Schema of this document.
    pub schema: u32,
    /// Version of the library that made it; another version refuses it.
    pub library: String,
    /// When the world was read.
    pub as_of: Timestamp,
    /// What was asked for.
    pub request: Arc<PlanRequest>,
    /// Which risks need an approval; the engine that applies it may ask for more, never for less.
    pub policy: Policy,
    /// Proved identities of the places; a place whose cluster is yet to be made has none.
    pub places: BTreeMap<Place, PlaceIdentity>,
    /// Steps in the order of their components and ids; also those that change nothing.
    pub steps: Vec<Step>,
    /// Outputs as far as they are known.
    pub outputs: Value,
    /// What the APIs wanted people to read.
    pub warnings: Vec<String>,
    /// Requests that planning took.
    pub requests: u32,
}

/// The schema that this version writes and reads.
pub(crate) const SCHEMA: u32 = 1;
/// This version.
pub(crate) const LIBRARY: &str = env!("CARGO_PKG_VERSION");

impl Plan {
    /// Whether an apply would write nothing and wait for nothing.
    pub fn is_empty(&self) -> bool {
        self.steps
            .iter()
            .all(|step| step.action == Action::Unchanged && step.ready)
    }

    /// Steps that write or are blocked.
    pub fn changes(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.action != Action::Unchanged)
    }

    /// What an apply writes, in the order of the steps: what rights are asked and granted for.
    pub fn writes(&self) -> Vec<PlannedWrite> {
        let each = self.steps.iter().map(|step| (step, step.action.verbs()));
        each.flat_map(|(step, verbs)| verbs.iter().map(|verb| PlannedWrite::new(step.id.clone(), *verb)))
            .collect()
    }

    /// Steps that mend what others did: a field that they changed, or an object that is gone while others of the set stand.
    ///
    /// Nothing tells an object that was deleted from one that is wanted only since the last apply.
    pub fn mends(&self) -> impl Iterator<Item = &Step> {
        let stands = self.steps.iter().any(|step| step.uid.is_some());
        self.steps.iter().filter(move |step| match step.action {
            Action::Create => stands,
            _ => step.changes.iter().any(|change| change.origin != Origin::Wish),
        })
    }

    /// The step of an object.
    pub fn step(&self, id: &ResourceId) -> Option<&Step> {
        self.steps.iter().find(|step| &step.id == id)
    }

    /// How many objects get which action.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for step in &self.steps {
            match step.action {
                Action::Unchanged => counts.unchanged += 1,
                Action::Blocked => counts.blocked += 1,
                Action::Release => counts.kept += 1,
                _ => counts.change += 1,
            }
        }
        counts
    }

    /// Hash of the steps, the wish, the policy, the places, the time and the versions: what approvals name.
    ///
    /// Steps and resources enter by digests of their own, so that no copy of the whole plan is made.
    pub fn digest(&self) -> Digest {
        let PlanRequest {
            set,
            resources,
            outputs,
            only,
            adopt,
            words: _, // nothing that an apply does follows from them
        } = &*self.request;
        let resources: Vec<Digest> = resources.iter().map(Resource::digest).collect();
        let steps: Vec<Digest> = self
            .steps
            .iter()
            .filter(|step| step.action != Action::Unchanged)
            .map(Step::fingerprint)
            .collect();
        Digest::of(&(
            (self.schema, &self.library, self.as_of),
            (set, resources, outputs, only, adopt),
            (&self.policy, &self.places, steps),
        ))
    }

    /// The plan as a document to store; it holds no secret.
    ///
    /// # Errors
    /// Never in practice: a plan is JSON by construction.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|cause| Error::new(ErrorKind::Internal, "plan is not JSON").with_source(cause))
    }

    /// Reads a stored plan.
    ///
    /// # Errors
    /// `Invalid` when it is no plan, or of another schema or library version.
    pub fn from_json(text: &str) -> Result<Self> {
        let invalid = |message: String| {
            Error::new(ErrorKind::Invalid, message).with_help("plan again with this version and apply that")
        };
        let version: Value =
            serde_json::from_str(text).map_err(|cause| invalid("not a plan file".to_owned()).with_source(cause))?;
        if version["schema"] != SCHEMA || version["library"] != LIBRARY {
            return Err(invalid(format!(
                "the plan was made by version {} (schema {}), this is {LIBRARY} (schema {SCHEMA})",
                version["library"], version["schema"]
            )));
        }
        serde_json::from_value(version).map_err(|cause| invalid("damaged plan file".to_owned()).with_source(cause))
    }

    /// The outputs if nothing is left to do.
    ///
    /// # Errors
    /// When they do not have the shape of `O`.
    pub fn settled_outputs<O: DeserializeOwned>(&self) -> Result<Option<O>> {
        if !self.is_empty() {
            return Ok(None);
        }
        typed_outputs(&self.outputs).map(Some)
    }
}

pub(crate) fn typed_outputs<O: DeserializeOwned>(outputs: &Value) -> Result<O> {
    serde_json::from_value(outputs.clone())
        .map_err(|cause| Error::new(ErrorKind::Internal, "outputs have another shape").with_source(cause))
}
