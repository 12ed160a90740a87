//! What one plan does that another one does not.

use super::super::diff::diff;
use super::meaning::Meaning;
use super::{Effect, FieldEffect, Promotion};
use crate::facts::Risk;
use crate::resource::Holds;
use crate::value::{FieldPath, ResourceId, SetId};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A plan beside the one that was run before, in another environment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Whose plan.
    pub here: SetId,
    /// Whose plan was run before.
    pub there: SetId,
    /// Everything in which they differ.
    pub deviations: Vec<Deviation>,
}

/// How two plans differ in one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Happens here only: nobody has seen what it does.
    Extra,
    /// Happens in both, otherwise.
    Differs,
    /// Happened there only.
    Missing,
    /// A size, which the configs say.
    Size,
}

/// One thing in which two plans differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deviation {
    /// How.
    pub sort: Sort,
    /// Which object here; `None` where nothing happens to it here.
    pub id: Option<ResourceId>,
    /// Which object in any environment.
    pub object: String,
    /// The capability or foundation that it belongs to.
    pub component: String,
    /// What happens to it: here, where both do something.
    pub word: String,
    /// What exactly: a field, or `action`, `risks`, `holds`; `None` for all that happens to the object.
    pub what: Option<String>,
    /// That of this plan; of a field before and after.
    pub here: Value,
    /// That of the other plan.
    pub there: Value,
    /// What is put at risk.
    pub risks: BTreeSet<Risk>,
    /// Those of them that an approval is asked for here.
    pub asks: BTreeSet<Risk>,
}

impl Comparison {
    /// Whether both do the same; sizes may differ.
    pub fn is_same(&self) -> bool {
        self.deviations.iter().all(|one| one.sort == Sort::Size)
    }

    /// What the other plan did not do: what is new here, and what is otherwise here.
    pub fn extras(&self) -> impl Iterator<Item = &Deviation> {
        let is_extra = |one: &&Deviation| matches!(one.sort, Sort::Extra | Sort::Differs);
        self.deviations.iter().filter(is_extra)
    }
}

impl Promotion {
    /// What this plan does beside `before`, the one that was run in another environment.
    pub fn compare(&self, before: &Self) -> Comparison {
        let mut objects: BTreeMap<&str, [Vec<&Effect>; 2]> = BTreeMap::new();
        for (side, promotion) in [self, before].into_iter().enumerate() {
            for effect in &promotion.effects {
                objects.entry(&effect.object).or_default()[side].push(effect);
            }
        }
        let mut deviations = Vec::new();
        for [mut here, mut there] in objects.into_values() {
            let alike: [fn(&Effect, &Effect) -> bool; 3] = [
                |one, other| one.essence() == other.essence(),
                |one, other| one.word == other.word,
                |_, _| true,
            ];
            for alike in alike {
                here.retain(|effect| match there.iter().position(|other| alike(effect, other)) {
                    Some(position) => {
                        between(effect, there.remove(position), &mut deviations);
                        false
                    }
                    None => true,
                });
            }
            deviations.extend(here.iter().map(|effect| of(effect, Sort::Extra)));
            deviations.extend(there.iter().map(|effect| of(effect, Sort::Missing)));
        }
        deviations.sort_by_key(|one| one.sort);
        Comparison {
            here: self.set.clone(),
            there: before.set.clone(),
            deviations,
        }
    }
}

fn of(effect: &Effect, sort: Sort) -> Deviation {
    Deviation {
        sort,
        id: (sort != Sort::Missing).then(|| effect.id.clone()),
        object: effect.object.clone(),
        component: effect.component.clone(),
        word: effect.word.clone(),
        what: None,
        here: Value::Null,
        there: Value::Null,
        risks: effect.risks.clone(),
        asks: effect.asks.clone(),
    }
}

/// Where the same object is met with something else.
fn between(here: &Effect, there: &Effect, deviations: &mut Vec<Deviation>) {
    let mut tell = |sort, what: &str, values: (Value, Value), risks: BTreeSet<Risk>| {
        deviations.push(Deviation {
            what: Some(what.to_owned()),
            here: values.0,
            there: values.1,
            asks: &here.asks & &risks,
            risks,
            ..of(here, sort)
        });
    };
    if here.word != there.word {
        tell(
            Sort::Differs,
            "action",
            (json!(here.word), json!(there.word)),
            BTreeSet::new(),
        );
    }
    let holds = |effect: &Effect| (effect.holds, effect.deletable);
    if holds(here) != holds(there) {
        let text = |(holds, deletable): (Holds, bool)| json!({"holds": holds, "deletable": deletable});
        tell(
            Sort::Differs,
            "holds",
            (text(holds(here)), text(holds(there))),
            BTreeSet::new(),
        );
    }
    let mut told = BTreeSet::new();
    let by_path = |effect: &'_ Effect| -> BTreeMap<String, FieldEffect> {
        effect
            .fields
            .iter()
            .map(|field| (field.path.clone(), field.clone()))
            .collect()
    };
    let (mine, mut others) = (by_path(here), by_path(there));
    for (path, field) in &mine {
        let risks: BTreeSet<Risk> = field.risk.into_iter().collect();
        let Some(other) = others.remove(path) else {
            told.extend(&risks);
            let values = (sides(field, &FieldPath::root()), Value::Null);
            tell(Sort::Extra, path, values, risks);
            continue;
        };
        for (sort, leaf, values) in leaves(field, &other) {
            told.extend(risks.iter().filter(|_| sort != Sort::Size));
            let risks = risks.iter().copied().filter(|_| sort != Sort::Size);
            tell(sort, &joined(path, &leaf), values, risks.collect());
        }
    }
    for (path, field) in &others {
        let values = (Value::Null, sides(field, &FieldPath::root()));
        tell(Sort::Missing, path, values, BTreeSet::new());
    }
    // Those that the fields above do not tell.
    let more = &(&here.risks - &there.risks) - &told;
    let gone = &there.risks - &here.risks;
    if !more.is_empty() || !gone.is_empty() && here.word == there.word {
        let sort = if more.is_empty() { Sort::Missing } else { Sort::Differs };
        tell(sort, "risks", (json!(here.risks), json!(there.risks)), more);
    }
}

/// Where two changes of a field differ, down to the fields within it.
fn leaves(here: &FieldEffect, there: &FieldEffect) -> Vec<(Sort, FieldPath, (Value, Value))> {
    let (mine, other) = (Meaning::of(here), Meaning::of(there));
    let paths = |pairs: [(&Value, &Value); 2]| -> BTreeSet<FieldPath> {
        let found = pairs.into_iter().flat_map(|(one, other)| diff(other, one, &[]));
        found.map(|difference| difference.path).collect()
    };
    let all = paths([(&here.before, &there.before), (&here.after, &there.after)]);
    let meant = paths([(&mine.before, &other.before), (&mine.after, &other.after)]);
    let same = mine == other && (here.effect, here.risk) == (there.effect, there.risk);
    let all = if all.is_empty() && !same {
        BTreeSet::from([FieldPath::root()])
    } else {
        all
    };
    let told = all.into_iter().map(|path| {
        let sized = same
            || !meant.is_empty()
                && !meant
                    .iter()
                    .any(|other| path.is_within(other) || other.is_within(&path));
        let sort = if sized { Sort::Size } else { Sort::Differs };
        let values = (sides(here, &path), sides(there, &path));
        (sort, path, values)
    });
    told.collect()
}

fn sides(field: &FieldEffect, path: &FieldPath) -> Value {
    let side = |value| path.find(value).cloned().unwrap_or_default();
    json!({"before": side(&field.before), "after": side(&field.after)})
}

fn joined(path: &str, leaf: &FieldPath) -> String {
    match (path, leaf.to_string()) {
        ("", leaf) => leaf,
        (path, leaf) if leaf.is_empty() => path.to_owned(),
        (path, leaf) if leaf.starts_with('[') => format!("{path}{leaf}"),
        (path, leaf) => format!("{path}.{leaf}"),
    }
}
