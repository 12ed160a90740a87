//! What the world holds, as one document.

use super::fields::{merged, owned_part, with_defaults};
use crate::facts::{Creation, KindFacts};
use crate::provider::Verb;
use crate::resource::{Actor, Holds, Live, OnRemoval, OpenCreate, Owner, Renewal, State};
use crate::value::{Certificates, Digest, FieldPath, Kind, REVISION, Recipe, ResourceId, SetId, Timestamp, Uid};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The version of the stored document.
pub(super) const SCHEMA: u32 = 1;

/// Everything in the world, saved and restored as one JSON document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct WorldState {
    pub(super) schema: u32,
    /// Says to whoever opens the file what it is.
    pub(super) label: String,
    pub(super) identity: String,
    /// Writes so far.
    pub(super) sequence: u64,
    /// Uids made so far.
    pub(super) uids: u64,
    pub(super) slots: BTreeMap<ResourceId, Slot>,
    pub(super) leases: BTreeMap<SetId, LeaseRecord>,
    pub(super) homes: BTreeSet<SetId>,
    pub(super) data: BTreeMap<String, Vec<String>>,
    pub(super) losses: Vec<Loss>,
    pub(super) snapshots: Vec<Loss>,
    pub(super) limits: Vec<Limit>,
    pub(super) forbidden: BTreeSet<(Kind, Option<Verb>)>,
    /// When something happens by itself.
    pub(super) due: BTreeSet<(Timestamp, ResourceId)>,
}

/// Rows that went away with the object that held them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Which object.
    pub id: ResourceId,
    /// Which incarnation.
    pub uid: Uid,
    /// What it held.
    pub rows: Vec<String>,
}

/// At most so many objects of a kind, in a namespace or in all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Limit {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) max: usize,
}

/// A set's lease and what it records.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct LeaseRecord {
    pub(super) holder: Option<String>,
    pub(super) heartbeat: u64,
    pub(super) ttl: Duration,
    pub(super) open: Vec<OpenCreate>,
}

/// All objects under one id: one, unless a create went out twice and nothing guarded it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) objects: Vec<Object>,
    /// What reads still show, by the write that ended it: eventual consistency.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(super) past: VecDeque<Past>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) sequence: u64,
    pub(super) until: Timestamp,
    pub(super) objects: Vec<Object>,
}

/// Whose an object is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    Set(SetId),
    RetainedFrom(SetId),
    Nobody,
    Other(String),
}

impl Mark {
    /// As `set` sees it.
    pub(super) fn owner(&self, set: &SetId) -> Owner {
        match self {
            Self::Set(other) if other == set => Owner::ThisSet,
            Self::RetainedFrom(other) if other == set => Owner::Retained,
            Self::Set(other) => Owner::Other(format!("set {other}")),
            Self::RetainedFrom(other) => Owner::Other(format!("set {other}, which keeps it")),
            Self::Nobody => Owner::Nobody,
            Self::Other(who) => Owner::Other(who.clone()),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) uid: Uid,
    /// Raised by every change of the fields or marks.
    pub(super) generation: u64,
    /// Raised by what controllers write, too.
    pub(super) revision: u64,
    pub(super) mark: Mark,
    /// The whole object as the server keeps it; absent while that is what was asked for and what servers add by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fields: Option<Value>,
    /// As its owner sees it, once somebody looked; shared with what was asked for where it is the same.
    #[serde(skip)]
    pub(super) view: OnceLock<Arc<Value>>,
    /// What its owner asked for last.
    pub(super) wanted: Arc<Value>,
    pub(super) written_from: Option<String>,
    pub(super) holds: Option<Holds>,
    pub(super) on_removal: OnRemoval,
    pub(super) component: String,
    /// Tokens of the creates that made it.
    pub(super) token: Option<String>,
    /// When it was made; absent in worlds of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) made_at: Option<Timestamp>,
    pub(super) ready_at: Timestamp,
    pub(super) gone_at: Option<Timestamp>,
    pub(super) finalizers: Vec<String>,
    pub(super) failed: Option<String>,
    pub(super) touched: Vec<(FieldPath, Actor)>,
    /// A random id per secret value; the world never holds a value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) secrets: BTreeMap<String, String>,
    /// Which certificates its recipe made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificates: Option<Certificates>,
}

impl Object {
    pub(super) fn state(&self, now: Timestamp) -> State {
        if self.gone_at.is_some() {
            return State::Deleting {
                blocked_by: self.finalizers.clone(),
            };
        }
        if let Some(why) = &self.failed {
            return State::Failed { why: why.clone() };
        }
        if now >= self.ready_at {
            return State::Ready;
        }
        State::Progressing {
            what: "starting up (simulated)".to_owned(),
        }
    }

    /// What runs to an end says when; every other output is a text of its own. What is not over has no end.
    fn output(&self, name: &str, now: Timestamp) -> Option<String> {
        match name {
            REVISION => self.made().map(|made| made.revision()),
            "started" => Some(self.made_at.unwrap_or(self.ready_at).to_string()),
            "completed" => (now >= self.ready_at).then(|| self.ready_at.to_string()),
            name => Some(format!("{name}-{}", self.uid)),
        }
    }

    /// The whole object as the server keeps it.
    pub(super) fn fields(&self) -> Cow<'_, Value> {
        match &self.fields {
            Some(fields) => Cow::Borrowed(fields),
            None => Cow::Owned(with_defaults(Value::clone(&self.wanted))),
        }
    }

    /// The same, to be changed.
    pub(super) fn fields_mut(&mut self) -> &mut Value {
        self.view = OnceLock::new();
        let wanted = &self.wanted;
        self.fields.get_or_insert_with(|| with_defaults(Value::clone(wanted)))
    }

    /// Writes a wish over what is there.
    pub(super) fn ask_for(&mut self, wanted: &Arc<Value>) {
        self.fields = Some(merged(&self.fields(), &self.wanted, wanted));
        self.wanted = Arc::clone(wanted);
        self.view = OnceLock::new();
    }

    /// As its owner sees it.
    pub(super) fn view(&self) -> &Arc<Value> {
        self.view.get_or_init(|| {
            let changed = self.fields.as_ref().map(|fields| owned_part(fields, &self.wanted));
            match changed.filter(|view| *view != *self.wanted) {
                Some(view) => Arc::new(view),
                None => Arc::clone(&self.wanted),
            }
        })
    }

    pub(super) fn live(&self, id: &ResourceId, set: &SetId, facts: &KindFacts, now: Timestamp) -> Live {
        Live {
            id: id.clone(),
            uid: self.uid.clone(),
            view: Arc::clone(self.view()),
            outputs: facts
                .outputs
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), Value::String(self.output(name, now)?))))
                .collect(),
            state: self.state(now),
            owner: self.mark.owner(set),
            holds: self.holds,
            on_removal: self.on_removal,
            component: self.component.clone(),
            version: Some(format!("{}.{}", self.generation, self.revision)),
            written_from: self.written_from.clone(),
            touched: self.touched.clone(),
            renewal: self.renewal(&self.wanted, facts).map(Box::new),
        }
    }

    /// What its certificates need where `wish` is wanted.
    pub(super) fn renewal(&self, wish: &Value, facts: &KindFacts) -> Option<Renewal> {
        if !facts.outputs.contains(&REVISION) {
            return None;
        }
        let made_by = Recipe::of_certificates(&self.wanted);
        let wished = Recipe::of_certificates(wish)?;
        self.made()?.renewal(&wished, made_by.as_ref())
    }

    /// Its certificates; in worlds of earlier versions they are as old as it is.
    pub(super) fn made(&self) -> Option<Certificates> {
        self.certificates.clone().or_else(|| {
            let recipe = Recipe::of_certificates(&self.wanted)?;
            Certificates::first(&recipe, self.made_at.unwrap_or(self.ready_at))
        })
    }

    /// What its certificates are after a write of `wish`; `renews`: the plan says that their time has come.
    pub(super) fn certificates_after(
        &self,
        wish: &Value,
        facts: &KindFacts,
        renews: bool,
        now: Timestamp,
    ) -> Option<Certificates> {
        let recipe = Recipe::of_certificates(wish)?;
        let Some(made) = self.made() else {
            return Certificates::first(&recipe, now);
        };
        let at_once = self.renewal(wish, facts).is_some_and(|renewal| renewal.from.is_none());
        if renews || at_once {
            return made.next(&recipe, now).map(|(_, next)| next);
        }
        let is_leaf = matches!(recipe, Recipe::Tls { .. });
        Some(if is_leaf && *self.wanted != *wish {
            made.signed_again(&recipe, now)
        } else {
            made
        })
    }

    /// Whether `version` is of the present fields; what controllers wrote since does not count.
    pub(super) fn is_of_version(&self, version: Option<&str>) -> bool {
        version.is_none_or(|version| version.split('.').next() == Some(self.generation.to_string().as_str()))
    }
}

impl WorldState {
    /// A uid like the ones that API servers make, the next of a fixed series.
    pub(super) fn next_uid(&mut self) -> Uid {
        self.uids += 1;
        let hash = Digest::of(&(&self.identity, self.uids));
        let text = hash.as_str();
        Uid::new(format!("{}-{}-{}", &text[..8], &text[8..12], &text[12..16]))
    }

    /// What a read of an id shows at this time: the present, or what was before the last writes.
    pub(super) fn visible<'a>(&self, slot: &'a Slot, lag: &super::Lag, now: Timestamp) -> &'a [Object] {
        slot.past
            .iter()
            .find(|past| past.sequence + u64::from(lag.writes) > self.sequence && now < past.until)
            .map_or(&slot.objects, |past| &past.objects)
    }

    /// Changes the objects of an id; with a lag, reads show the old ones for a while.
    pub(super) fn change<T>(
        &mut self,
        id: &ResourceId,
        creation: Creation,
        lag: &super::Lag,
        now: Timestamp,
        act: impl FnOnce(&mut Vec<Object>) -> T,
    ) -> T {
        self.sequence += 1;
        let sequence = self.sequence;
        let slot = self.slots.entry(id.clone()).or_default();
        slot.past
            .retain(|past| past.sequence + u64::from(lag.writes) > sequence && now < past.until);
        if lag.writes > 0 && creation != Creation::Exclusive {
            let until = now.plus(lag.window);
            slot.past.push_back(Past {
                sequence,
                until,
                objects: slot.objects.clone(),
            });
            self.due.insert((until, id.clone()));
        }
        let result = act(&mut slot.objects);
        if slot.objects.is_empty() && slot.past.is_empty() {
            self.slots.remove(id);
        }
        result
    }

    /// Takes rows away with their object; `kept` moves them into a snapshot.
    pub(super) fn bury(&mut self, id: &ResourceId, uid: &Uid, kept: bool) {
        if let Some(rows) = self.data.remove(uid.as_str()) {
            let loss = Loss {
                id: id.clone(),
                uid: uid.clone(),
                rows,
            };
            if kept {
                self.snapshots.push(loss);
            } else {
                self.losses.push(loss);
            }
        }
    }

    /// Lets happen what is due: objects that end, become ready or visible. Returns their ids.
    pub(super) fn advance(&mut self, now: Timestamp) -> Vec<ResourceId> {
        let mut happened = Vec::new();
        while let Some((at, _)) = self.due.first()
            && *at <= now
        {
            let Some((_, id)) = self.due.pop_first() else { break };
            if let Some(slot) = self.slots.get_mut(&id) {
                let (gone, stay): (Vec<Object>, Vec<Object>) = std::mem::take(&mut slot.objects)
                    .into_iter()
                    .partition(|object| object.finalizers.is_empty() && object.gone_at.is_some_and(|at| at <= now));
                slot.objects = stay;
                slot.past.retain(|past| now < past.until);
                if slot.objects.is_empty() && slot.past.is_empty() {
                    self.slots.remove(&id);
                }
                for object in gone {
                    self.bury(&id, &object.uid, false);
                }
            }
            happened.push(id);
        }
        happened
    }

    pub(super) fn object(&self, id: &ResourceId) -> Option<&Object> {
        self.slots.get(id)?.objects.first()
    }
}
