//! Checks beyond the single value: ranges, names, versions, and what does not go together.

mod blocks;
mod monitoring;
mod people;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};

use platform_core::{Capability, Environment};

use self::syntax::{LABEL, NAME_HELP, is_label, is_label_value, is_object_name, is_qualified};
use super::block::Reader;
use super::model::{BackupConfig, ImagesConfig, PlatformConfig, ProviderName, StorageFlavour};
use super::problem::Rule;
use super::words::CAPABILITIES;
use super::yaml::{Node, Plain, Value};

/// The longest name that is put behind the namespace prefix.
const LONGEST_NAMESPACE: &str = "monitoring-node";
/// The catalogue's names of images.
const IMAGES: [&str; 15] = [
    "postgres",
    "valkey",
    "redis",
    "rustfs",
    "minio",
    "mc",
    "postgres-exporter",
    "redis-exporter",
    "velero",
    "velero-plugin-for-aws",
    "prometheus",
    "alertmanager",
    "grafana",
    "kube-state-metrics",
    "node-exporter",
];

/// The capabilities whose data a backup can hold.
pub(in crate::config) const HOLD_DATA: [Capability; 3] = [Capability::Database, Capability::Cache, Capability::Storage];

impl PlatformConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        check_tags(&self.tags, node, reader);
        check_overrides(&self.names, node, reader);
        check_left(&self.leave, node, reader);
        self.check_placement(node, reader);
        if self.environment == Environment::Local && self.provider == ProviderName::Aws {
            let message = "a local platform lives on a Kind cluster, not on AWS";
            reader.refuse_key(
                node,
                Rule::EnvironmentProvider,
                "provider",
                message,
                "write kubernetes, or environment: dev",
            );
        }
        if self.wanted().is_empty() {
            let message = "no capability is asked for";
            let help = format!(
                "add one of: {}",
                CAPABILITIES.map(|a| format!("`{a}: {{}}`")).join(", ")
            );
            reader.refuse(
                Rule::Nothing,
                super::source::At { line: 0, ..node.at },
                "",
                message,
                help,
            );
        }
        self.check_quotas(node, reader);
        self.check_applications(node, reader);
        self.check_backup_scope(node, reader);
        self.check_copies(node, reader);
        self.check_aws_buckets(node, reader);
        self.check_revisions(node, reader);
    }

    fn check_placement(&self, node: &Node, reader: &mut Reader) {
        for (capability, providers) in &self.placement {
            let key = format!("placement.{capability}");
            let mut refuse = |rule, message: String, help: &str| reader.refuse_key(node, rule, &key, message, help);
            let several = [Capability::Monitoring, Capability::Security]
                .iter()
                .any(|one| one.as_str() == capability);
            if !CAPABILITIES.contains(&capability.as_str()) {
                let help = format!("known here: {}", CAPABILITIES.join(", "));
                refuse(Rule::UnknownKey, "unknown capability".to_owned(), &help);
            } else if several && (providers.is_empty() || twice(providers)) {
                refuse(
                    Rule::Placement,
                    "this capability lives on one provider, or on each once".to_owned(),
                    "write [kubernetes], [aws] or [aws, kubernetes]",
                );
            } else if !several && providers.len() != 1 {
                refuse(
                    Rule::Placement,
                    "this capability lives on one provider".to_owned(),
                    "write one, such as [kubernetes]",
                );
            } else if self.provider == ProviderName::Kubernetes && providers.contains(&ProviderName::Aws) {
                let message = "aws is not configured: `provider` is kubernetes".to_owned();
                refuse(
                    Rule::Placement,
                    message,
                    "only a platform with `provider: aws` has both",
                );
            } else if !self.wanted().iter().any(|wanted| wanted.as_str() == capability) {
                let help = format!("add `{capability}: {{}}`, or remove it here");
                refuse(
                    Rule::Placement,
                    format!("there is no `{capability}` block to place"),
                    &help,
                );
            }
        }
    }

    fn check_quotas(&self, node: &Node, reader: &mut Reader) {
        let Some(security) = &self.security else { return };
        let needs = [
            (
                "database",
                self.database.as_ref().and_then(|d| d.memory),
                self.database.as_ref().map(|d| d.storage),
            ),
            (
                "cache",
                self.cache.as_ref().and_then(|c| c.memory),
                self.cache
                    .as_ref()
                    .filter(|c| c.persistence != Some(false))
                    .and_then(|c| c.storage),
            ),
            (
                "storage",
                self.storage.as_ref().and_then(|s| s.memory),
                self.storage.as_ref().and_then(|s| s.capacity),
            ),
            (
                "monitoring",
                self.monitoring.as_ref().and_then(|m| m.memory),
                self.monitoring.as_ref().and_then(|m| m.storage),
            ),
        ];
        for (capability, memory, storage) in needs {
            let Some(quota) = security.quotas.get(capability) else {
                continue;
            };
            for (key, limit, need) in [("memory", quota.memory, memory), ("storage", quota.storage, storage)] {
                if let (Some(limit), Some(need)) = (limit, need)
                    && limit < need
                {
                    let message = format!("{limit} is less than the {need} that `{capability}` itself asks for");
                    let key = format!("security.quotas.{capability}.{key}");
                    reader.refuse_key(node, Rule::Quota, &key, message, format!("write at least {need}"));
                }
            }
        }
        self.check_namespaces(node, reader);
        for (index, rule) in security.allow.iter().enumerate() {
            for (to, capability) in rule.to.iter().enumerate() {
                if !self.wanted().contains(capability) {
                    let key = format!("security.allow[{index}].to[{to}]");
                    let message = format!("there is no `{capability}` block to connect to");
                    reader.refuse_key(node, Rule::Allow, &key, message, "remove it, or add the block");
                }
            }
        }
    }

    /// Refuses limits and levels of namespaces that are none of this platform's.
    fn check_namespaces(&self, node: &Node, reader: &mut Reader) {
        let Some(security) = &self.security else { return };
        let maps: [(&str, Rule, Vec<&String>); 3] = [
            ("quotas", Rule::Quota, security.quotas.keys().collect()),
            ("limits", Rule::Quota, security.limits.keys().collect()),
            (
                "pod_security_overrides",
                Rule::PodSecurity,
                security.pod_security_overrides.keys().collect(),
            ),
        ];
        let known = self.limited();
        for (map, rule, keys) in maps {
            for key in keys.into_iter().filter(|key| !known.contains(&key.as_str())) {
                let (message, help) = if key == "backup" {
                    let message = "Velero runs an agent on every node there, as root".to_owned();
                    (
                        message,
                        "leave it out; the store's namespace is `backup-store`".to_owned(),
                    )
                } else if CAPABILITIES.contains(&key.as_str()) {
                    let message = format!("there is no `{key}` block to limit");
                    (message, "remove it, or add the block".to_owned())
                } else {
                    let message = match super::suggest::closest(key, &known) {
                        Some(close) => format!("no namespace of this platform; did you mean `{close}`?"),
                        None => "no namespace of this platform".to_owned(),
                    };
                    (message, format!("known here: {}", known.join(", ")))
                };
                let at = format!("security.{map}");
                refuse_entry(node, &at, key, rule, &message, &help, reader);
            }
        }
    }

    /// The namespaces that limits and levels can be set for, without the prefix.
    fn limited(&self) -> Vec<&'static str> {
        let mut known: Vec<_> = self
            .wanted()
            .into_iter()
            .filter(|capability| *capability != Capability::Backup)
            .map(Capability::as_str)
            .collect();
        if self.backup.as_ref().is_some_and(BackupConfig::keeps_its_own_store) {
            known.push("backup-store");
        }
        known
    }

    fn check_applications(&self, node: &Node, reader: &mut Reader) {
        let Some(security) = &self.security else { return };
        for (index, application) in security.applications.iter().enumerate() {
            let key = format!("security.applications[{index}]");
            for (used, capability) in application.uses.iter().enumerate() {
                if HOLD_DATA.contains(capability) && !self.wanted().contains(capability) {
                    let key = format!("{key}.uses[{used}]");
                    let message = format!("there is no `{capability}` block to use");
                    reader.refuse_key(node, Rule::Application, &key, message, "remove it, or add the block");
                }
            }
            let name = format!("{}{}", self.namespace_prefix, application.name);
            let key = format!("{key}.name");
            if application.name == self.name {
                let message = format!("the namespace {name:?} is the platform's own");
                reader.refuse_key(node, Rule::Application, &key, message, "write another name");
            } else if name.len() > LABEL && application.name.len() <= LABEL {
                let message = format!(
                    "the namespace {name:?} would have {} characters; Kubernetes allows 63",
                    name.len()
                );
                reader.refuse_key(node, Rule::NameLength, &key, message, "write a shorter name");
            }
        }
    }

    fn check_backup_scope(&self, node: &Node, reader: &mut Reader) {
        let Some(backup) = &self.backup else { return };
        match &backup.scope {
            Some(scope) => {
                for (index, capability) in scope.iter().enumerate() {
                    if HOLD_DATA.contains(capability) && !self.wanted().contains(capability) {
                        let key = format!("backup.scope[{index}]");
                        let message = format!("there is no `{capability}` block whose data could be backed up");
                        reader.refuse_key(node, Rule::BackupScope, &key, message, "remove it, or add the block");
                    }
                }
            }
            None => {
                if !HOLD_DATA.iter().any(|capability| self.wanted().contains(capability)) {
                    let message = "there is nothing to back up";
                    let help = "add `database: {}`, `cache: {}` or `storage: {}`, or remove the block";
                    reader.refuse_key(node, Rule::BackupScope, "backup", message, help);
                }
            }
        }
    }

    /// In production somebody has decided whether backups outlive the region.
    fn check_copies(&self, node: &Node, reader: &mut Reader) {
        let Some(backup) = self
            .backup
            .as_ref()
            .filter(|_| self.placed(Capability::Backup) == [ProviderName::Aws])
        else {
            return;
        };
        let own = self.aws.as_ref().and_then(|aws| aws.region.as_deref());
        let Some(region) = backup.copy_to.as_deref() else {
            if self.environment == Environment::Prod {
                let message = "which region gets copies of the backups is not said";
                let help = "add copy_to with a second region, such as eu-central-1, or copy_to: none";
                reader.refuse_key(node, Rule::MissingKey, "backup", message, help);
            }
            return;
        };
        let dashes = region.bytes().filter(|byte| *byte == b'-').count();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region != BackupConfig::NO_COPIES && (dashes < 2 || !region.bytes().all(plain)) {
            let message = format!("{region:?} is no region");
            reader.refuse_key(
                node,
                Rule::Choice,
                "backup.copy_to",
                message,
                "write eu-central-1 or the like, or none",
            );
        } else if own == Some(region) {
            let message = format!("{region} is where the backups are already");
            reader.refuse_key(
                node,
                Rule::Placement,
                "backup.copy_to",
                message,
                "name another region, or none",
            );
        }
    }

    /// Only what generated a login can replace it.
    fn check_revisions(&self, node: &Node, reader: &mut Reader) {
        let Some(revisions) = self.security.as_ref().and_then(|block| block.revisions.as_ref()) else {
            return;
        };
        for (capability, revision) in [
            (Capability::Database, revisions.database),
            (Capability::Cache, revisions.cache),
            (Capability::Storage, revisions.storage),
            (Capability::Monitoring, revisions.monitoring),
        ] {
            let key = format!("security.revisions.{capability}");
            if revision > 1 && self.placed(capability) == [ProviderName::Aws] {
                let message = format!("nothing of {capability} is generated on AWS");
                reader.refuse_key(node, Rule::Placement, &key, message, "write 1, or remove it");
            }
        }
        let users = self.storage.as_ref().is_none_or(|storage| match &storage.flavour {
            Some(StorageFlavour::Minio) => true,
            Some(StorageFlavour::Custom(server)) => server.users,
            Some(StorageFlavour::Rustfs) | None => false,
        });
        if revisions.storage > 1 && !users && self.placed(Capability::Storage) == [ProviderName::Kubernetes] {
            let message = "this server knows no users: applications have its own key, which is not replaced";
            let help = "write 1, or storage.flavour: minio";
            reader.refuse_key(node, Rule::Flavour, "security.revisions.storage", message, help);
        }
    }

    fn check_aws_buckets(&self, node: &Node, reader: &mut Reader) {
        let Some(storage) = self
            .storage
            .as_ref()
            .filter(|_| self.placed(Capability::Storage) == [ProviderName::Aws])
        else {
            return;
        };
        for (index, bucket) in storage.buckets.iter().enumerate() {
            let derived = format!("{}-{}-{}", self.name, self.environment, bucket.name);
            if derived.len() > LABEL && bucket.name.len() <= LABEL {
                let message = format!(
                    "the bucket {derived:?} would have {} characters; S3 allows 63",
                    derived.len()
                );
                reader.refuse_key(
                    node,
                    Rule::NameLength,
                    &format!("storage.buckets[{index}].name"),
                    message,
                    "write a shorter name",
                );
            }
        }
    }
}

fn twice(providers: &[ProviderName]) -> bool {
    let different: BTreeSet<_> = providers.iter().collect();
    different.len() < providers.len()
}

/// Checks what every derived name is made of, even when something else is wrong.
pub(super) fn check_names(node: &Node, environment: Environment, reader: &mut Reader) {
    let text = |key: &str| match node.get(key).map(|n| &n.value) {
        Some(Value::Scalar {
            text,
            plain: Plain::Text,
        }) => Some(text.as_str()),
        _ => None,
    };
    let starts_with_letter = |text: &str| text.starts_with(|c: char| c.is_ascii_lowercase());
    let name = text("name").unwrap_or("x");
    let derived = format!("{name}-{environment}");
    if !is_label(name) || !starts_with_letter(name) {
        let message = format!("{name:?} cannot be part of Kubernetes names");
        reader.refuse_key(node, Rule::NameSyntax, "name", message, NAME_HELP);
    } else if name.len() > 40 {
        let message = format!("{} characters; names derived from it need the rest of 63", name.len());
        reader.refuse_key(node, Rule::NameLength, "name", message, "write at most 40 characters");
    } else if text("provider") == Some("aws") && derived.len() > 40 {
        let message = format!(
            "the ElastiCache group {derived:?} has {} characters; AWS allows 40",
            derived.len()
        );
        let help = format!("write at most {} characters", 39 - environment.as_str().len());
        reader.refuse_key(node, Rule::NameLength, "name", message, help);
    }
    let Some(prefix) = text("namespace_prefix").filter(|p| !p.is_empty()) else {
        return;
    };
    let longest = if name.len() > LONGEST_NAMESPACE.len() {
        name
    } else {
        LONGEST_NAMESPACE
    };
    let longest = format!("{prefix}{longest}");
    if !is_label(&format!("{prefix}x")) || !starts_with_letter(prefix) {
        let message = format!("{prefix:?} cannot start a namespace");
        let help = "write lower-case letters, digits and hyphens, such as team-a-";
        reader.refuse_key(node, Rule::NameSyntax, "namespace_prefix", message, help);
    } else if longest.len() > LABEL {
        let message = format!(
            "the namespace {longest:?} would have {} characters; Kubernetes allows 63",
            longest.len()
        );
        reader.refuse_key(
            node,
            Rule::NameLength,
            "namespace_prefix",
            message,
            "write a shorter prefix",
        );
    }
}

fn check_tags(tags: &BTreeMap<String, String>, node: &Node, reader: &mut Reader) {
    for (key, value) in tags {
        let place = format!("tags.{key}");
        if ["kubernetes.io", "k8s.io", "aws:", "mlplat"]
            .iter()
            .any(|reserved| key.contains(reserved))
        {
            refuse_entry(
                node,
                "tags",
                key,
                Rule::Tag,
                "this key is reserved",
                "write a key of your own",
                reader,
            );
        } else if !is_qualified(key) {
            let help = "write letters, digits, dots, hyphens and underscores, at most 63";
            refuse_entry(
                node,
                "tags",
                key,
                Rule::Tag,
                "the key is not allowed as a Kubernetes label",
                help,
                reader,
            );
        } else if !is_label_value(value) {
            let message = format!("{value:?} is not allowed as a value of a Kubernetes label");
            reader.refuse_key(
                node,
                Rule::Tag,
                &place,
                message,
                "write letters, digits, dots, hyphens and underscores, at most 63",
            );
        }
    }
}

fn check_overrides(names: &BTreeMap<String, String>, node: &Node, reader: &mut Reader) {
    let mut wanted: BTreeMap<(Option<&str>, &str), &str> = BTreeMap::new();
    for (computed, name) in names {
        let place = format!("names.{computed}");
        if let Some((kind, _)) = kind_and_name(computed) {
            let message = if !is_aws_name(name) {
                format!("{name:?} is not a name of an object on AWS")
            } else if let Some(other) = wanted.insert((Some(kind), name), computed) {
                format!("{name:?} is already the name of `{other}`")
            } else {
                continue;
            };
            let help = "write letters, digits and .-_/, at most 255; give every object its own name";
            refuse_entry(node, "names", computed, Rule::NameSyntax, &message, help, reader);
            continue;
        }
        if !is_object_name(computed) {
            refuse_entry(
                node,
                "names",
                computed,
                Rule::NameSyntax,
                "the computed name is not a name of an object",
                NAME_HELP,
                reader,
            );
        }
        if !is_object_name(name) {
            reader.refuse_key(
                node,
                Rule::NameSyntax,
                &place,
                format!("{name:?} is not a name of an object"),
                NAME_HELP,
            );
        } else if name.len() > LABEL {
            let message = format!("{} characters; Kubernetes allows 63", name.len());
            reader.refuse_key(node, Rule::NameLength, &place, message, "write at most 63 characters");
        } else if let Some(other) = wanted.insert((None, name), computed) {
            let message = format!("{name:?} is already the name of `{other}`");
            reader.refuse_key(
                node,
                Rule::DuplicateName,
                &place,
                message,
                "give every object its own name",
            );
        }
    }
}

fn check_left(leave: &BTreeMap<String, Vec<String>>, node: &Node, reader: &mut Reader) {
    for (object, fields) in leave {
        let message = if kind_and_name(object).is_none() {
            "no object on AWS".to_owned()
        } else if fields.is_empty() {
            "no field of it is named".to_owned()
        } else if let Some(field) = fields.iter().find(|field| !is_field(field)) {
            format!("{field:?} is no field")
        } else {
            continue;
        };
        let help = "write KIND/NAME and fields as a plan shows them: `rds.DbInstance/orders: [username, kms_key]`";
        refuse_entry(node, "leave", object, Rule::Leave, &message, help, reader);
    }
}

/// `rds.DbInstance/orders`.
fn kind_and_name(text: &str) -> Option<(&str, &str)> {
    let (kind, name) = text.split_once('/')?;
    let (service, own) = kind.split_once('.')?;
    let is_kind = service
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && own.starts_with(|first: char| first.is_ascii_uppercase())
        && own.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_kind && is_aws_name(name)).then_some((kind, name))
}

fn is_aws_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte))
}

fn is_field(text: &str) -> bool {
    let is_key = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    text.split('.').all(is_key)
}

/// Refuses an entry of a mapping whose key itself is wrong, at the key.
fn refuse_entry(node: &Node, map: &str, key: &str, rule: Rule, message: &str, help: &str, reader: &mut Reader) {
    let at = match node.find(map).map(|n| &n.value) {
        Some(Value::Map(entries)) => entries.iter().find(|e| e.key == key).map(|e| e.at),
        _ => None,
    };
    reader.refuse(rule, at.unwrap_or(node.at), &format!("{map}.{key}"), message, help);
}

impl ImagesConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        for image in self.overrides.keys().filter(|image| !IMAGES.contains(&image.as_str())) {
            let help = format!("known here: {}", IMAGES.join(", "));
            let message = match super::suggest::closest(image, &IMAGES) {
                Some(close) => format!("no image of this name; did you mean `{close}`?"),
                None => "no image of this name".to_owned(),
            };
            refuse_entry(node, "overrides", image, Rule::UnknownKey, &message, &help, reader);
        }
        let mut seen = BTreeSet::new();
        for (index, name) in self.pull_secrets.iter().enumerate() {
            let key = format!("pull_secrets[{index}]");
            if !is_object_name(name) {
                reader.refuse_key(
                    node,
                    Rule::NameSyntax,
                    &key,
                    format!("{name:?} is not a name of a Secret"),
                    NAME_HELP,
                );
            } else if !seen.insert(name) {
                reader.refuse_key(
                    node,
                    Rule::DuplicateName,
                    &key,
                    format!("{name:?} is listed twice"),
                    "remove one",
                );
            }
        }
    }
}
