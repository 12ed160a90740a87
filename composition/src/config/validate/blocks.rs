//! Checks of the single blocks.

use std::collections::BTreeSet;

use platform_core::value::{Timestamp, gib, mib};
use platform_core::{ApplicationSpec, BackupSpec, CacheEngine, Capability};

use super::syntax::{
    LABEL, NAME_HELP, aws_class, bucket_name, is_label, is_label_key, is_label_value, is_object_name, minimum, range,
    storage_class, version,
};
use super::{HOLD_DATA, refuse_entry};
use crate::config::block::Reader;
use crate::config::model::{
    AllowConfig, ApplicationConfig, BackupConfig, BackupStoreConfig, BucketConfig, CacheConfig, CredentialsConfig,
    CustomStorage, DatabaseConfig, DatabaseSourceConfig, LimitConfig, PeerConfig, PointInTimeConfig, QuotaConfig,
    RevisionsConfig, SecurityConfig, StorageConfig, SuppliedConfig,
};
use crate::config::problem::Rule;
use crate::config::yaml::Node;

/// What a connection of PostgreSQL needs, and the server itself.
const CONNECTION: u64 = 4;
const SERVER: u64 = 128;
/// The newest moment that can be restored.
pub(in crate::config) const LATEST: &str = "latest";
/// What a certificate consists of.
const CERTIFICATE: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

impl DatabaseConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
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

impl DatabaseSourceConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        let help = "write snapshot: NAME, or point_in_time: { of: SERVER, at: TIME }";
        match (&self.snapshot, &self.point_in_time) {
            (Some(_), Some(_)) => {
                let message = "a database starts from one copy, and two are named";
                reader.refuse_key(node, Rule::RestoreFrom, "point_in_time", message, help);
            }
            (None, None) => reader.refuse_key(node, Rule::RestoreFrom, "", "no copy is named", help),
            (Some(snapshot), None) if !is_rds_name(snapshot) => {
                let message = format!("{snapshot:?} is no snapshot's name");
                let help = "write its identifier or ARN, as aws rds describe-db-snapshots shows it";
                reader.refuse_key(node, Rule::RestoreFrom, "snapshot", message, help);
            }
            _ => {}
        }
    }
}

impl PointInTimeConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if !is_rds_name(&self.of) {
            let message = format!("{:?} is no server's name", self.of);
            let help = "write its identifier, or its resource id (db-...)";
            reader.refuse_key(node, Rule::RestoreFrom, "of", message, help);
        }
        if self.at != LATEST && self.at.parse::<Timestamp>().is_err() {
            let message = format!("{:?} is no moment", self.at);
            let help = "write latest, or a time in UTC such as 2026-11-29T02:00:00Z";
            reader.refuse_key(node, Rule::RestoreFrom, "at", message, help);
        }
    }
}

/// What RDS may call a server or snapshot, or its ARN.
fn is_rds_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':');
    (1..=240).contains(&text.len()) && text.bytes().all(plain)
}

impl CacheConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
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
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
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
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
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
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
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
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
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
        let mut seen = BTreeSet::new();
        for (index, application) in self.applications.iter().enumerate() {
            if !seen.insert(&application.name) {
                let message = format!("the application {:?} is listed twice", application.name);
                let key = format!("applications[{index}].name");
                reader.refuse_key(node, Rule::DuplicateName, &key, message, "remove one");
            }
        }
        range(self.quota_factor, 1, 10, "quota_factor", node, reader);
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

impl BackupConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        let least = BackupSpec::shortest_retention(&self.schedule);
        if self.retention < least {
            let message = format!("{} keeps no backup while the next one is being written", self.retention);
            let help = format!("write at least {least} (the longest interval and 1 day)");
            reader.refuse_pair(node, Rule::Retention, ["retention", "schedule"], message, help);
        } else if !self.retention.as_seconds().is_multiple_of(3600) {
            let message = format!("{} is not a number of whole hours", self.retention);
            let help = format!("write {}h", self.retention.as_seconds().div_ceil(3600));
            reader.refuse_key(node, Rule::Retention, "retention", message, help);
        }
        self.check_restore_from(node, reader);
        let Some(scope) = &self.scope else { return };
        if scope.is_empty() {
            let help = "name database, cache or storage, or remove the line";
            reader.refuse_key(node, Rule::BackupScope, "scope", "a backup of nothing", help);
        }
        for (index, capability) in scope.iter().enumerate() {
            let key = format!("scope[{index}]");
            if !HOLD_DATA.contains(capability) {
                let message = format!("`{capability}` holds no data to back up");
                reader.refuse_key(
                    node,
                    Rule::BackupScope,
                    &key,
                    message,
                    "write database, cache or storage",
                );
            } else if scope.iter().take(index).any(|earlier| earlier == capability) {
                let message = format!("`{capability}` is listed twice");
                reader.refuse_key(node, Rule::BackupScope, &key, message, "remove one");
            }
        }
    }

    fn check_restore_from(&self, node: &Node, reader: &mut Reader) {
        let Some(from) = &self.restore_from else { return };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        if from.is_empty() || from.len() > 190 || !from.bytes().all(plain) {
            let message = format!("{from:?} is no name of a backup");
            let help = "write latest, or a name from the list of backups";
            reader.refuse_key(node, Rule::RestoreFrom, "restore_from", message, help);
        } else if self.keeps_its_own_store() {
            let message = "a new platform has a new store, in which no backup is";
            let help = "add store: { endpoint: https://..., ... } with the store that has it, or remove the key";
            reader.refuse_key(node, Rule::RestoreFrom, "restore_from", message, help);
        }
    }
}

impl BackupStoreConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        minimum(self.capacity, gib(1), "capacity", "an S3 server", node, reader);
        minimum(self.memory, mib(256), "memory", "an S3 server", node, reader);
        storage_class(self.storage_class.as_deref(), node, reader);
        let inside = [
            ("capacity", self.capacity.is_some()),
            ("memory", self.memory.is_some()),
            ("storage_class", self.storage_class.is_some()),
        ];
        let outside = [
            ("bucket", self.bucket.is_some()),
            ("region", self.region.is_some()),
            ("access", self.access.is_some()),
        ];
        let Some(endpoint) = &self.endpoint else {
            for (key, _) in outside.iter().filter(|(_, there)| *there) {
                let message = "this is of a store outside of the cluster, which has no address here";
                reader.refuse_key(
                    node,
                    Rule::BackupStore,
                    key,
                    message,
                    "add endpoint: https://..., or remove it",
                );
            }
            return;
        };
        for (key, _) in inside.iter().filter(|(_, there)| *there) {
            let message = "this is of a store in the cluster, and `endpoint` names one outside";
            reader.refuse_key(node, Rule::BackupStore, key, message, "remove it, or remove endpoint");
        }
        for (key, _) in outside.iter().filter(|(key, there)| !there && *key != "region") {
            let message = format!("a store outside of the cluster needs `{key}`");
            let help = match *key {
                "bucket" => "add bucket: NAME",
                _ => "add access: { supplied: NAME, revision: 1 }",
            };
            reader.refuse_key(node, Rule::BackupStore, "endpoint", message, help);
        }
        let host = endpoint.strip_prefix("https://").unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        if host.is_empty() || !host.bytes().all(plain) {
            let message = format!("{endpoint:?} is not an https address of a host");
            reader.refuse_key(
                node,
                Rule::BackupStore,
                "endpoint",
                message,
                "write https://host or https://host:port",
            );
        }
        if let Some(why) = self.bucket.as_deref().and_then(bucket_name) {
            let message = format!("{:?} {why}", self.bucket.as_deref().unwrap_or_default());
            let help = "write 3 to 63 lower-case letters, digits and hyphens, with a letter or digit first and last";
            reader.refuse_key(node, Rule::BucketName, "bucket", message, help);
        }
    }
}

impl CredentialsConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        supplied(&self.supplied, self.revision, node, reader);
    }
}

/// A value that a `SecretSource` knows.
fn supplied(name: &str, revision: u64, node: &Node, reader: &mut Reader) {
    if name.trim().is_empty() {
        let help = "write the name that the SecretSource knows";
        reader.refuse_key(node, Rule::EmptyValue, "supplied", "the name is empty", help);
    }
    if revision == 0 {
        reader.refuse_key(node, Rule::NumberRange, "revision", "revisions count from 1", "write 1");
    }
}

impl ApplicationConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        let name = self.name.as_str();
        if !is_label(name) || name.len() > LABEL {
            let message = format!("{name:?} is not a name of a namespace");
            reader.refuse_key(node, Rule::NameSyntax, "name", message, NAME_HELP);
        } else if ApplicationSpec::is_taken(name) {
            let message = format!("the namespace {name:?} is not for applications");
            reader.refuse_key(node, Rule::Application, "name", message, "write a name of its own");
        }
        for (index, capability) in self.uses.iter().enumerate() {
            let key = format!("uses[{index}]");
            if !HOLD_DATA.contains(capability) {
                let message = format!("{capability} has nothing to connect to");
                reader.refuse_key(
                    node,
                    Rule::Application,
                    &key,
                    message,
                    "write database, cache or storage",
                );
            } else if self.uses.iter().take(index).any(|earlier| earlier == capability) {
                let message = format!("`{capability}` is listed twice");
                reader.refuse_key(node, Rule::Application, &key, message, "remove one");
            }
        }
        for (index, port) in self.outside.iter().enumerate() {
            range(*port, 1, 65_535, &format!("outside[{index}]"), node, reader);
        }
        if let Some(port) = self.metrics {
            range(port, 1, 65_535, "metrics", node, reader);
        }
    }
}

impl AllowConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
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
            if matches!(capability, Capability::Security | Capability::Backup) {
                let message = format!("{capability} has nothing to connect to");
                reader.refuse_key(
                    node,
                    Rule::Allow,
                    &key,
                    message,
                    "write database, cache, storage or monitoring",
                );
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
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
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

impl LimitConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if self.cpu.is_none() && self.memory.is_none() && self.max_cpu.is_none() && self.max_memory.is_none() {
            let help = "write cpu, memory, max_cpu or max_memory";
            reader.refuse(Rule::Quota, node.at, "", "limits that limit nothing", help);
        }
        let too_much = |most: String| {
            (
                format!("more than the {most} that a container may state"),
                format!("write at most {most}"),
            )
        };
        if let (Some(cpu), Some(most)) = (self.cpu, self.max_cpu)
            && cpu > most
        {
            let (message, help) = too_much(most.to_string());
            reader.refuse_pair(node, Rule::Quota, ["cpu", "max_cpu"], message, help);
        }
        if let (Some(memory), Some(most)) = (self.memory, self.max_memory)
            && memory > most
        {
            let (message, help) = too_much(most.to_string());
            reader.refuse_pair(node, Rule::Quota, ["memory", "max_memory"], message, help);
        }
    }
}

impl QuotaConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
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

impl RevisionsConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        for (key, value) in [
            ("authority", self.authority),
            ("database", self.database),
            ("cache", self.cache),
            ("storage", self.storage),
            ("monitoring", self.monitoring),
        ] {
            range(value, 1, 1_000_000, key, node, reader);
        }
    }
}

impl SuppliedConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if !is_object_name(&self.name) || self.name.len() > LABEL {
            let message = format!("{:?} is not a name of a Secret", self.name);
            reader.refuse_key(node, Rule::NameSyntax, "name", message, NAME_HELP);
        }
        supplied(&self.supplied, self.revision, node, reader);
    }
}
