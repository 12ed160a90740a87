//! Values as a template shows them.

use super::super::of::{JSON, leads_out};
use super::names::{Named, spelt};
use crate::aws::region_of;
use platform_core::value::{Place, Reference, ResourceId, resolve};
use platform_core::{Error, ErrorKind, Resource, Result};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The template of one region.
#[derive(Debug)]
pub(super) struct Template<'a> {
    named: &'a Named,
    place: &'a Place,
    parameters: BTreeMap<String, Value>,
    pub(super) resources: BTreeMap<String, Value>,
    outputs: BTreeMap<String, Value>,
    /// What only another region can name.
    pub(super) asked: BTreeSet<Reference>,
}

/// Whose values are shown.
#[derive(Clone, Copy, Debug)]
struct From<'a> {
    resource: &'a Resource,
    /// Everything that stands before it.
    before: Option<&'a BTreeSet<ResourceId>>,
}

impl<'a> Template<'a> {
    pub(super) fn new(named: &'a Named, place: &'a Place) -> Self {
        Self {
            named,
            place,
            parameters: BTreeMap::new(),
            resources: BTreeMap::new(),
            outputs: BTreeMap::new(),
            asked: BTreeSet::new(),
        }
    }

    /// The properties of a part, without those that are null.
    pub(super) fn properties(
        &mut self,
        resource: &Resource,
        properties: &Map<String, Value>,
        before: &BTreeMap<&ResourceId, BTreeSet<ResourceId>>,
    ) -> Result<Value> {
        let from = From {
            resource,
            before: before.get(&resource.id),
        };
        self.object(from, properties, "")
    }

    fn object(&mut self, from: From<'_>, map: &Map<String, Value>, at: &str) -> Result<Value> {
        let mut shown = Map::new();
        for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            shown.insert(key.clone(), self.show(from, value, &format!("{at}{}", spelt(key)))?);
        }
        Ok(Value::Object(shown))
    }

    fn show(&mut self, from: From<'_>, value: &Value, at: &str) -> Result<Value> {
        if let Some(reference) = Reference::of_value(value) {
            return self.link(&reference);
        }
        Ok(match value {
            Value::String(text) => match self.named.of_arn(text) {
                // ours stands before it anyway: no circle comes of it
                Some(id) if from.before.is_some_and(|before| before.contains(id)) => {
                    self.link(&Reference::new(id.clone(), "arn"))?
                }
                _ => value.clone(),
            },
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.show(from, item, &format!("{at}{index}")))
                .collect::<Result<_>>()?,
            Value::Object(map) => {
                if map.contains_key("$secret") {
                    self.secret(from, at)
                } else if let Some(document) = map.get(JSON) {
                    self.text(document)?
                } else {
                    self.object(from, map, at)?
                }
            }
            other => other.clone(),
        })
    }

    /// A value that nobody but the one who makes the stack knows.
    fn secret(&mut self, from: From<'_>, at: &str) -> Value {
        let name = format!("{}{at}", self.named.logical(&from.resource.id, 0));
        let said =
            json!({ "Type": "String", "NoEcho": true, "Description": format!("secret of {}", from.resource.id) });
        self.parameters.insert(name.clone(), said);
        json!({ "Ref": name })
    }

    /// A document as a text, of which only references are not known.
    fn text(&mut self, document: &Value) -> Result<Value> {
        let mut links = Vec::new();
        for reference in platform_core::value::references(document) {
            links.push((reference.to_string(), self.link(&reference)?));
        }
        let mark = |index: usize| format!("\u{27e6}{index}\u{27e7}");
        let text = resolve(document, &|reference: &Reference| {
            let index = links.iter().position(|(known, _)| *known == reference.to_string())?;
            Some(json!(mark(index)))
        })
        .to_string();
        let mut pieces = vec![json!(text)];
        for (index, (_, link)) in links.iter().enumerate() {
            let mut cut = Vec::new();
            for piece in pieces {
                let Value::String(text) = &piece else {
                    cut.push(piece);
                    continue;
                };
                for (number, rest) in text.split(&mark(index)).enumerate() {
                    if number > 0 {
                        cut.push(link.clone());
                    }
                    cut.push(json!(rest));
                }
            }
            pieces = cut;
        }
        Ok(match &pieces[..] {
            [whole] => whole.clone(),
            _ => json!({ "Fn::Join": ["", pieces] }),
        })
    }

    fn link(&mut self, reference: &Reference) -> Result<Value> {
        let id = &reference.id;
        let slash = if id.kind().as_str() == "logs.LogGroup" { "/" } else { "" };
        let name = json!(format!("{slash}{}", id.name()));
        if !self.named.has(id) {
            // the name of what is there already leads nowhere
            return match reference.output.as_str() {
                "name" => Ok(name),
                _ => Err(leads_out(reference)),
            };
        }
        if region_of(id.place()) == region_of(self.place) {
            return self.here(reference);
        }
        match reference.output.as_str() {
            "name" => return Ok(name),
            "arn" => {
                if let Some(arn) = self.named.arn_of(id) {
                    return Ok(json!(arn));
                }
            }
            _ => {}
        }
        let parameter = self.output_name(reference);
        let said =
            json!({ "Type": "String", "Description": format!("{reference}: an output of {}", region_of(id.place())) });
        self.parameters.insert(parameter.clone(), said);
        self.asked.insert(reference.clone());
        Ok(json!({ "Ref": parameter }))
    }

    /// What a resource of this template is known by.
    fn here(&self, reference: &Reference) -> Result<Value> {
        if (reference.id.kind().as_str(), reference.output.as_str()) == ("logs.LogGroup", "arn") {
            // CloudFormation's own ARN of a log group ends in `:*`
            let group = json!({ "Ref": self.named.logical(&reference.id, 0) });
            let text = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Group}";
            return Ok(json!({ "Fn::Sub": [text, { "Group": group }] }));
        }
        self.named.link(reference).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("CloudFormation cannot refer to {reference}"),
            )
        })
    }

    fn output_name(&self, reference: &Reference) -> String {
        let (region, id) = (region_of(reference.id.place()), &reference.id);
        format!(
            "{}{}{}",
            spelt(region),
            self.named.logical(id, 0),
            spelt(&reference.output)
        )
    }

    /// Makes an output of a value.
    pub(super) fn tell(&mut self, reference: &Reference) -> Result<()> {
        let value = self.here(reference)?;
        self.outputs
            .insert(self.output_name(reference), json!({ "Value": value }));
        Ok(())
    }

    /// The whole template.
    pub(super) fn whole(self) -> Value {
        let mut whole = json!({ "AWSTemplateFormatVersion": "2010-09-09" });
        for (key, part) in [
            ("Parameters", self.parameters),
            ("Resources", self.resources),
            ("Outputs", self.outputs),
        ] {
            if !part.is_empty() {
                whole[key] = json!(part);
            }
        }
        whole
    }
}
