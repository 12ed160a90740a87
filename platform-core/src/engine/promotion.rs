//! What a plan means, whichever environment it is for: what is compared when a change goes from one to the next. Pure.

mod compare;
mod meaning;
mod words;

pub use self::compare::{Comparison, Deviation, Sort};

use self::meaning::Meaning;
use self::words::Words;
use super::plan::{Action, Plan, PlanRequest, Step};
use super::render::{masked, masked_sides};
use crate::blueprint::Context;
use crate::facts::{FieldChange, Risk};
use crate::resource::Holds;
use crate::value::{Digest, ResourceId, SetId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a plan does, without what necessarily differs between environments: names, account, region, ids, set.
///
/// Plans that do the same in two environments have promotions of the same digest, also where sizes differ. It holds no secret.
///
/// ```
/// # use platform_core::testing::fixtures;
/// # let staging_plan = fixtures::plan(&fixtures::set(), Vec::new());
/// # let prod_plan = staging_plan.clone();
/// let comparison = prod_plan.promotion().compare(&staging_plan.promotion());
/// assert!(comparison.is_same() && comparison.extras().next().is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// Whose plan.
    pub set: SetId,
    /// Everything that it writes, and what is blocked.
    pub effects: Vec<Effect>,
}

/// What happens to one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Which object here.
    pub id: ResourceId,
    /// Which object in any environment: `aws/<region>:rds.DbInstance/<platform>`.
    pub object: String,
    /// The capability or foundation that it belongs to.
    pub component: String,
    /// What happens to it, as [`Step::word`] says it.
    pub word: String,
    /// What it holds.
    pub holds: Holds,
    /// What is put at risk.
    pub risks: BTreeSet<Risk>,
    /// Those of them that an approval is asked for here; environments differ in that.
    pub asks: BTreeSet<Risk>,
    /// It is deleted instead of kept when an approval names it.
    pub deletable: bool,
    /// Field by field; of a new object the whole wish.
    pub fields: Vec<FieldEffect>,
}

/// What happens to a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldEffect {
    /// Which; the whole object where it is empty.
    pub path: String,
    /// As it is, in the words of any environment.
    pub before: Value,
    /// As it will be.
    pub after: Value,
    /// What that means for the running object; `None` for a new one.
    pub effect: Option<FieldChange>,
    /// What it puts at risk.
    pub risk: Option<Risk>,
}

impl Plan {
    /// What the plan does in the words of any environment, to be compared with that of another one.
    pub fn promotion(&self) -> Promotion {
        let words = Words::of(&self.request);
        let wishes: BTreeMap<&ResourceId, &Value> = self
            .request
            .resources
            .iter()
            .map(|resource| (&resource.id, &*resource.desired))
            .collect();
        let mut effects: Vec<Effect> = self
            .changes()
            .map(|step| {
                let wish = wishes.get(&step.id).filter(|_| step.action == Action::Create);
                effect(self, step, wish.copied(), &words)
            })
            .collect();
        effects.sort_by(|one, other| (&one.object, &one.word, &one.id).cmp(&(&other.object, &other.word, &other.id)));
        Promotion {
            set: self.request.set.clone(),
            effects,
        }
    }
}

fn effect(plan: &Plan, step: &Step, wish: Option<&Value>, words: &Words) -> Effect {
    let made = wish.map(|wish| FieldEffect {
        path: String::new(),
        before: Value::Null,
        after: words.value(&masked(wish)),
        effect: None,
        risk: None,
    });
    let changed = step.changes.iter().map(|change| {
        let (path, before, after, _) = masked_sides(step, change);
        FieldEffect {
            path: words.text(&path),
            before: words.value(&before),
            after: words.value(&after),
            effect: Some(change.effect),
            risk: change.risk,
        }
    });
    let mut asks = &step.risks & &plan.policy.risks;
    asks.extend(step.deletable.then_some(Risk::DestroysData));
    let name = words.text(step.id.name().as_str());
    Effect {
        id: step.id.clone(),
        object: format!("{}:{}/{name}", words.text(step.id.place().as_ref()), step.id.kind()),
        component: step.component.clone(),
        word: step.word().to_owned(),
        holds: step.holds,
        risks: step.risks.clone(),
        asks,
        deletable: step.deletable,
        fields: made.into_iter().chain(changed).collect(),
    }
}

impl Promotion {
    /// Hash of what happens to what, with which risks: the same in every environment in which the same happens.
    pub fn digest(&self) -> Digest {
        let mut essences: Vec<Digest> = self
            .effects
            .iter()
            .map(|effect| Digest::of(&effect.essence()))
            .collect();
        essences.sort();
        Digest::of(&essences)
    }
}

impl Effect {
    /// What has to be the same for two effects to be one.
    fn essence(&self) -> impl Serialize + PartialEq {
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|field| (&field.path, field.effect, field.risk, Meaning::of(field)))
            .collect();
        (
            &self.object,
            &self.word,
            self.holds,
            &self.risks,
            self.deletable,
            fields,
        )
    }
}

impl PlanRequest {
    /// With the words that only this environment has, and what each stands for: an account's number and `<account>`.
    pub fn with_words(mut self, words: impl IntoIterator<Item = (String, String)>) -> Self {
        self.words.extend(words);
        self
    }
}

impl Context {
    /// The words that only this platform has, and what each stands for: its set, its environment, what its names start with,
    /// and the names that the config gives instead of computed ones.
    pub fn words(&self) -> BTreeMap<String, String> {
        let Self {
            set, name, environment, ..
        } = self;
        let prefix = self.namespace_prefix.trim_matches('-');
        let mut words = words::of_platform(set, name, environment.as_str(), prefix);
        if !prefix.is_empty() {
            words.insert(self.namespace_prefix.clone(), String::new());
        }
        words.extend(
            self.names
                .iter()
                .map(|(computed, given)| (given.clone(), computed.clone())),
        );
        words
    }
}
