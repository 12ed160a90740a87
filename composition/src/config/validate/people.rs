//! Checks of who gets rights.

use std::collections::BTreeSet;

use platform_core::PeopleSpec;

use crate::config::block::Reader;
use crate::config::model::{PeopleConfig, SubjectsConfig};
use crate::config::problem::Rule;
use crate::config::yaml::Node;

impl PeopleConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        let (Some(viewers), Some(operators)) = (&self.viewers, &self.operators) else {
            if self.viewers.is_none() && self.operators.is_none() {
                let help = "add viewers or operators, or remove the block";
                reader.refuse(Rule::People, node.at, "", "rights for nobody", help);
            }
            return;
        };
        for (kind, viewers, operators) in [
            ("groups", &viewers.groups, &operators.groups),
            ("users", &viewers.users, &operators.users),
        ] {
            for (index, name) in viewers.iter().enumerate().filter(|(_, name)| operators.contains(name)) {
                let message = format!("{name:?} is among the operators, who see all that viewers see");
                let key = format!("viewers.{kind}[{index}]");
                reader.refuse_key(node, Rule::People, &key, message, "remove it here");
            }
        }
    }
}

impl SubjectsConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if self.groups.is_empty() && self.users.is_empty() {
            let help = "name groups or users, or remove it";
            reader.refuse(Rule::People, node.at, "", "rights for nobody", help);
        }
        for (kind, names) in [("groups", &self.groups), ("users", &self.users)] {
            let mut seen = BTreeSet::new();
            for (index, name) in names.iter().enumerate() {
                let key = format!("{kind}[{index}]");
                if let Some(why) = PeopleSpec::misfit(name) {
                    let help = "write a name as the cluster's login gives it, such as ml-team or ann@example.com";
                    reader.refuse_key(node, Rule::People, &key, format!("{name:?} {why}"), help);
                } else if !seen.insert(name) {
                    let message = format!("{name:?} is listed twice");
                    reader.refuse_key(node, Rule::People, &key, message, "remove one");
                }
            }
        }
    }
}
