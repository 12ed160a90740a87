//! Checks beyond the single value: ranges, names, versions, and what does not go together.

use std::collections::{BTreeMap, BTreeSet};

use platform_core::value::{Size, gib, mib};
use platform_core::{CacheEngine, Capability, Environment};

use super::block::Reader;
use super::model::{
    AllowConfig, BucketConfig, CacheConfig, CustomStorage, DatabaseConfig, ImagesConfig, PeerConfig, PlatformConfig,
    ProviderName, QuotaConfig, SecurityConfig, StorageConfig, SuppliedConfig,
};
use super::problem::Rule;
use super::words::{AVAILABLE, PLANNED};
use super::yaml::{Node, Plain, Value};

const NAME_HELP: &str = "write lower-case letters, digits and hyphens, with a letter first and no hyphen last";
/// The longest name that is put behind the namespace prefix.
const LONGEST_NAMESPACE: &str = "backup-store";
/// What a certificate consists of.
const CERTIFICATE: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];
/// The catalogue's names of images.
const IMAGES: [&str; 8] = [
    "postgres",
    "valkey",
    "redis",
    "rustfs",
    "minio",
    "mc",
    "postgres-exporter",
    "redis-exporter",
];
/// Longest Kubernetes name and label value.
const LABEL: usize = 63;
/// What a connection of PostgreSQL needs, and the server itself.
const CONNECTION: u64 = 4;
const SERVER: u64 = 128;

impl PlatformConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        check_tags(&self.tags, node, reader);
        check_overrides(&self.names, node, reader);
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
            let help = format!("add one of: {}", AVAILABLE.map(|a| format!("`{a}: {{}}`")).join(", "));
            reader.refuse(
                Rule::Nothing,
                super::source::At { line: 0, ..node.at },
                "",
                message,
                help,
            );
        }
        self.check_quotas(node, reader);
        self.check_aws_buckets(node, reader);
    }

    fn check_placement(&self, node: &Node, reader: &mut Reader) {
        for (capability, providers) in &self.placement {
            let key = format!("placement.{capability}");
            let mut refuse = |rule, message: String, help: &str| reader.refuse_key(node, rule, &key, message, help);
            if PLANNED.contains(&capability.as_str()) {
                refuse(
                    Rule::NotAvailable,
                    "not available in this version".to_owned(),
                    "remove it",
                );
            } else if !AVAILABLE.contains(&capability.as_str()) {
                let help = format!("known here: {}", AVAILABLE.join(", "));
                refuse(Rule::UnknownKey, "unknown capability".to_owned(), &help);
            } else if providers.len() != 1 {
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
                self.cache.as_ref().and_then(|c| c.storage),
            ),
            (
                "storage",
                self.storage.as_ref().and_then(|s| s.memory),
                self.storage.as_ref().and_then(|s| s.capacity),
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
        for capability in AVAILABLE.iter().chain(&PLANNED) {
            let absent = !self.wanted().iter().any(|wanted| wanted.as_str() == *capability);
            if absent && security.quotas.contains_key(*capability) {
                let key = format!("security.quotas.{capability}");
                let message = format!("there is no `{capability}` block to limit");
                reader.refuse_key(node, Rule::Quota, &key, message, "remove it, or add the block");
            }
        }
        for (index, rule) in security.allow.iter().enumerate() {
            for (to, capability) in rule.to.iter().enumerate() {
                if !self.wanted().contains(capability) && !PLANNED.contains(&capability.as_str()) {
                    let key = format!("security.allow[{index}].to[{to}]");
                    let message = format!("there is no `{capability}` block to connect to");
                    reader.refuse_key(node, Rule::Allow, &key, message, "remove it, or add the block");
                }
            }
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
    let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
    for (computed, name) in names {
        let place = format!("names.{computed}");
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
        } else if let Some(other) = wanted.insert(name, computed) {
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

/// Refuses an entry of a mapping whose key itself is wrong, at the key.
fn refuse_entry(node: &Node, map: &str, key: &str, rule: Rule, message: &str, help: &str, reader: &mut Reader) {
    let at = match node.get(map).map(|n| &n.value) {
        Some(Value::Map(entries)) => entries.iter().find(|e| e.key == key).map(|e| e.at),
        _ => None,
    };
    reader.refuse(rule, at.unwrap_or(node.at), &format!("{map}.{key}"), message, help);
}

impl ImagesConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        for image in self.overrides.keys().filter(|image| !IMAGES.contains(&image.as_str())) {
            let help = format!("known here: {}", IMAGES.join(", "));
            let message = match super::block::closest(image, &IMAGES) {
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

impl DatabaseConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        version(&self.version, "PostgreSQL", &["16", "17", "18"], node, reader);
        range(self.max_connections, 10, 10_000, "max_connections", node, reader);
        range(self.password_length, 16, 128, "password_length", node, reader);
        minimum(
            Some(self.storage),
            gib(1),
            "storage",
            "PostgreSQL and its write-ahead log",
            node,
            reader,
        );
        minimum(self.memory, mib(256), "memory", "PostgreSQL", node, reader);
        if self.cpu.is_some_and(|cpu| cpu.milli() < 100) {
            reader.refuse_key(
                node,
                Rule::CpuMinimum,
                "cpu",
                "PostgreSQL would not answer its probes in time",
                "write at least 100m",
            );
        }
        storage_class(self.storage_class.as_deref(), node, reader);
        aws_class(self.instance_class.as_deref(), "instance_class", "db.", node, reader);
        if let Some(memory) = self.memory {
            let needed = mib(u64::from(self.max_connections) * CONNECTION + SERVER);
            if (10..=10_000).contains(&self.max_connections) && memory >= mib(256) && needed > memory {
                let message = format!(
                    "{} connections need {needed} of memory; `memory` is {memory}",
                    self.max_connections
                );
                let fits = (memory.as_mib() - SERVER) / CONNECTION;
                let help = format!(
                    "write max_connections: {fits} or memory: {}Gi",
                    needed.as_gib_rounded_up()
                );
                reader.refuse_pair(
                    node,
                    Rule::ConnectionsMemory,
                    ["max_connections", "memory"],
                    message,
                    help,
                );
            }
        }
    }
}

impl CacheConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        let (server, versions): (_, &[&str]) = match self.engine {
            CacheEngine::Valkey => ("Valkey", &["8", "9"]),
            CacheEngine::Redis => ("Redis", &["7", "8"]),
        };
        if let Some(wanted) = &self.version {
            version(wanted, server, versions, node, reader);
        }
        range(self.replicas, 0, 5, "replicas", node, reader);
        minimum(self.memory, mib(64), "memory", server, node, reader);
        minimum(self.storage, gib(1), "storage", "the append-only file", node, reader);
        storage_class(self.storage_class.as_deref(), node, reader);
        aws_class(self.node_type.as_deref(), "node_type", "cache.", node, reader);
        if let (Some(memory), Some(storage)) = (self.memory, self.storage) {
            // 75 % of the memory holds data, and a rewrite keeps two copies on disk.
            let needed = mib(memory.as_mib() * 3 / 2);
            if needed > storage && memory >= mib(64) && storage >= gib(1) {
                let message =
                    format!("{memory} of memory need {needed} on disk while the append-only file is rewritten");
                let help = format!("write storage: {}Gi, or less memory", needed.as_gib_rounded_up());
                reader.refuse_pair(node, Rule::CacheVolume, ["storage", "memory"], message, help);
            }
        }
    }
}

impl StorageConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        minimum(self.capacity, gib(1), "capacity", "an S3 server", node, reader);
        minimum(self.memory, mib(256), "memory", "an S3 server", node, reader);
        storage_class(self.storage_class.as_deref(), node, reader);
        let mut seen = BTreeSet::new();
        for (index, bucket) in self.buckets.iter().enumerate() {
            if !seen.insert(&bucket.name) {
                let message = format!("the bucket {:?} is listed twice", bucket.name);
                reader.refuse_key(
                    node,
                    Rule::DuplicateName,
                    &format!("buckets[{index}].name"),
                    message,
                    "remove one",
                );
            }
        }
    }
}

impl BucketConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        if let Some(why) = bucket_name(&self.name) {
            let message = format!("{:?} {why}", self.name);
            let help = "write 3 to 63 lower-case letters, digits and hyphens, with a letter or digit first and last";
            reader.refuse_key(node, Rule::BucketName, "name", message, help);
        }
        for (key, span) in [("expire", self.expire), ("expire_noncurrent", self.expire_noncurrent)] {
            if let Some(span) = span.filter(|s| !s.as_seconds().is_multiple_of(86_400)) {
                let message = format!("{span} is not a number of whole days, which S3 counts in");
                reader.refuse_key(
                    node,
                    Rule::BucketExpiry,
                    key,
                    message,
                    format!("write {}d", span.as_days_rounded_up()),
                );
            }
        }
        if self.expire_noncurrent.is_some() && !self.versioning {
            let message = "there are no overwritten versions without versioning";
            reader.refuse_key(
                node,
                Rule::BucketExpiry,
                "expire_noncurrent",
                message,
                "add versioning: true, or remove it",
            );
        }
    }
}

impl CustomStorage {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        for (key, port) in [("s3_port", Some(self.s3_port)), ("console_port", self.console_port)] {
            if let Some(port) = port {
                range(port, 1024, 65_535, key, node, reader);
            }
        }
        if self.console_port == Some(self.s3_port) {
            let message = "the S3 API has this port";
            reader.refuse_key(
                node,
                Rule::Flavour,
                "console_port",
                message,
                "write another port, or remove it",
            );
        }
        let scratch = self
            .scratch
            .iter()
            .enumerate()
            .map(|(index, path)| (format!("scratch[{index}]"), path));
        let paths = [
            ("live", Some(&self.live)),
            ("ready", Some(&self.ready)),
            ("metrics", self.metrics.as_ref()),
        ];
        let paths = paths
            .into_iter()
            .filter_map(|(key, path)| Some((key.to_owned(), path?)));
        for (key, path) in paths.chain(scratch).filter(|(_, path)| !path.starts_with('/')) {
            let message = format!("{path:?} is not an absolute path");
            reader.refuse_key(node, Rule::Flavour, &key, message, format!("write /{path}"));
        }
        for (file, given) in self
            .certificates
            .iter()
            .filter(|(_, key)| !CERTIFICATE.contains(&key.as_str()))
        {
            let message = format!("there is no {given:?} to be given");
            let key = format!("certificates.{file}");
            reader.refuse_key(
                node,
                Rule::Flavour,
                &key,
                message,
                format!("write one of: {}", CERTIFICATE.join(", ")),
            );
        }
        for needed in ["tls.crt", "tls.key"] {
            if !self.certificates.values().any(|key| key == needed) {
                let message = format!("no file is named for {needed}, and the server speaks TLS only");
                let help = format!("write certificates: {{ FILE: {needed}, ... }}");
                reader.refuse_key(node, Rule::Flavour, "certificates", message, help);
            }
        }
        for variable in self.env.keys() {
            let first = variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !first || !variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                let message = "this is not a name of an environment variable";
                let help = "write letters, digits and underscores";
                refuse_entry(node, "env", variable, Rule::Flavour, message, help, reader);
            }
        }
    }
}

impl SecurityConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        let mut seen = BTreeSet::new();
        for (index, secret) in self.secrets.iter().enumerate() {
            if !seen.insert(&secret.name) {
                let message = format!("the Secret {:?} is listed twice", secret.name);
                reader.refuse_key(
                    node,
                    Rule::DuplicateName,
                    &format!("secrets[{index}].name"),
                    message,
                    "remove one",
                );
            }
        }
        for namespace in self.quotas.keys().filter(|n| !is_label(n) || n.len() > LABEL) {
            refuse_entry(
                node,
                "quotas",
                namespace,
                Rule::NameSyntax,
                "this is not a name of a namespace",
                NAME_HELP,
                reader,
            );
        }
        for (index, rule) in self.allow.iter().enumerate() {
            if self.allow.iter().take(index).any(|earlier| earlier == rule) {
                reader.refuse_key(
                    node,
                    Rule::Allow,
                    &format!("allow[{index}]"),
                    "this rule stands above already",
                    "remove one",
                );
            }
        }
    }
}

impl AllowConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        if self.to.is_empty() {
            reader.refuse_key(
                node,
                Rule::Allow,
                "to",
                "a rule that lets nobody in",
                "name capabilities, or remove the rule",
            );
        }
        for (index, capability) in self.to.iter().enumerate() {
            let key = format!("to[{index}]");
            if PLANNED.contains(&capability.as_str()) {
                reader.refuse_key(
                    node,
                    Rule::NotAvailable,
                    &key,
                    format!("`{capability}` is not available in this version"),
                    "remove it",
                );
            } else if *capability == Capability::Security {
                let message = "security has nothing to connect to";
                reader.refuse_key(node, Rule::Allow, &key, message, "write database, cache or storage");
            } else if self.to.iter().take(index).any(|earlier| earlier == capability) {
                reader.refuse_key(
                    node,
                    Rule::Allow,
                    &key,
                    format!("`{capability}` is listed twice"),
                    "remove one",
                );
            }
        }
    }
}

impl PeerConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        if !is_label(&self.namespace) || self.namespace.len() > LABEL {
            let message = format!("{:?} is not a name of a namespace", self.namespace);
            reader.refuse_key(node, Rule::NameSyntax, "namespace", message, NAME_HELP);
        }
        for (key, value) in &self.labels {
            if !is_label_key(key) {
                let help = "write a name of at most 63 characters, with a DNS prefix and a slash if need be";
                refuse_entry(
                    node,
                    "labels",
                    key,
                    Rule::Label,
                    "not a key of a Kubernetes label",
                    help,
                    reader,
                );
            } else if !is_label_value(value) {
                let message = format!("{value:?} is not a value of a Kubernetes label");
                let help = "write letters, digits, dots, hyphens and underscores, at most 63";
                reader.refuse_key(node, Rule::Label, &format!("labels.{key}"), message, help);
            }
        }
    }
}

impl QuotaConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        if let Some(pods) = self.pods {
            range(pods, 1, 100_000, "pods", node, reader);
        }
        if self.cpu.is_none() && self.memory.is_none() && self.pods.is_none() && self.storage.is_none() {
            reader.refuse(
                Rule::Quota,
                node.at,
                "",
                "a quota without a limit",
                "write cpu, memory, pods or storage",
            );
        }
    }
}

impl SuppliedConfig {
    pub(super) fn check(&self, node: &Node, reader: &mut Reader) {
        if !is_object_name(&self.name) || self.name.len() > LABEL {
            let message = format!("{:?} is not a name of a Secret", self.name);
            reader.refuse_key(node, Rule::NameSyntax, "name", message, NAME_HELP);
        }
        if self.supplied.trim().is_empty() {
            reader.refuse_key(
                node,
                Rule::EmptyValue,
                "supplied",
                "the name is empty",
                "write the name that the SecretSource knows",
            );
        }
        if self.revision == 0 {
            reader.refuse_key(node, Rule::NumberRange, "revision", "revisions count from 1", "write 1");
        }
    }
}

fn version(wanted: &str, server: &str, known: &[&str], node: &Node, reader: &mut Reader) {
    if !known.contains(&wanted) {
        let major = wanted
            .split('.')
            .next()
            .filter(|major| known.contains(major) && wanted.contains('.'));
        let help = match major {
            Some(major) => format!("write \"{major}\": the catalogue chooses the minor version"),
            None => format!("write one of: \"{}\"", known.join("\", \"")),
        };
        reader.refuse_key(
            node,
            Rule::Version,
            "version",
            format!("{server} {wanted:?} is not supported"),
            help,
        );
    }
}

fn range(value: u32, least: u32, most: u32, key: &str, node: &Node, reader: &mut Reader) {
    if !(least..=most).contains(&value) {
        let help = format!("write {least} to {most}");
        reader.refuse_key(
            node,
            Rule::NumberRange,
            key,
            format!("{value} is outside the range"),
            help,
        );
    }
}

fn minimum(value: Option<Size>, least: Size, key: &str, who: &str, node: &Node, reader: &mut Reader) {
    if let Some(value) = value.filter(|v| *v < least) {
        let message = format!("{value} is too small for {who}");
        reader.refuse_key(node, Rule::SizeMinimum, key, message, format!("write at least {least}"));
    }
}

fn storage_class(name: Option<&str>, node: &Node, reader: &mut Reader) {
    if let Some(name) = name.filter(|n| !is_object_name(n)) {
        let message = format!("{name:?} is not a name of a StorageClass");
        reader.refuse_key(node, Rule::NameSyntax, "storage_class", message, NAME_HELP);
    }
}

fn aws_class(name: Option<&str>, key: &str, prefix: &str, node: &Node, reader: &mut Reader) {
    let valid = |name: &str| {
        name.strip_prefix(prefix)
            .and_then(|rest| rest.split_once('.'))
            .is_some_and(|(family, size)| {
                [family, size]
                    .iter()
                    .all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
            })
    };
    if let Some(name) = name.filter(|n| !valid(n)) {
        let message = format!("{name:?} is not a class of AWS");
        reader.refuse_key(
            node,
            Rule::NameSyntax,
            key,
            message,
            format!("write {prefix}FAMILY.SIZE, such as {prefix}t4g.medium"),
        );
    }
}

/// Why a text is no bucket name.
fn bucket_name(name: &str) -> Option<&'static str> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(3..=63).contains(&name.len()) {
        Some("has not 3 to 63 characters")
    } else if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        // Dots are legal, but break TLS for virtual hosts.
        Some("has characters that a bucket cannot have")
    } else if !name.starts_with(edge) || !name.ends_with(edge) {
        Some("starts or ends with a hyphen")
    } else if name.starts_with("xn--")
        || name.starts_with("sthree-")
        || name.ends_with("-s3alias")
        || name.ends_with("--ol-s3")
    {
        Some("is reserved by S3")
    } else {
        None
    }
}

/// Lower-case letters, digits and hyphens, not at the ends (RFC 1123), of any length.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Labels joined by dots.
fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Letters, digits, dots, hyphens and underscores, at most 63, with a letter or digit at both ends.
fn is_qualified(text: &str) -> bool {
    !text.is_empty() && is_label_value(text)
}

fn is_label_value(text: &str) -> bool {
    text.len() <= LABEL
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && text.is_empty() | text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.is_empty() | text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_object_name(prefix) && is_qualified(name),
        None => is_qualified(text),
    }
}
