//! A resource that is drawn: its settings in normal form, and what every language derives from them.

use crate::aws::region_of;
use crate::kind::Kinds;
use crate::{names, policy};
use platform_core::value::{Place, Reference, ResourceId};
use platform_core::{Error, ErrorKind, Resource, Result};
use serde_json::{Map, Value, json};

/// Marks what is written as JSON in a text.
pub(super) const JSON: &str = "$json";

/// A resource whose parts are drawn, in its normal form.
#[derive(Debug)]
pub(super) struct Of<'a> {
    pub(super) account: &'a str,
    pub(super) id: &'a ResourceId,
    pub(super) settings: Value,
    pub(super) tags: Value,
}

impl<'a> Of<'a> {
    pub(super) fn new(account: &'a str, resource: &'a Resource) -> Result<Self> {
        let (settings, tags) = if resource.id.kind().as_str().starts_with("ec2.") {
            let tags = resource.desired.get("tags").cloned().unwrap_or_default();
            (Value::clone(&resource.desired), tags)
        } else {
            let kind = Kinds::default().known(&resource.id)?;
            let wish = kind.normalise(&resource.id, &resource.desired)?;
            (wish.settings, json!(wish.tags))
        };
        Ok(Self {
            account,
            id: &resource.id,
            settings,
            tags,
        })
    }

    pub(super) fn name(&self) -> &'a str {
        self.id.name().as_str()
    }

    /// A setting; null where there is none.
    pub(super) fn get(&self, key: &str) -> Value {
        self.settings.get(key).cloned().unwrap_or_default()
    }

    /// A setting, or its default.
    pub(super) fn said(&self, key: &str, otherwise: impl Into<Value>) -> Value {
        self.settings.get(key).cloned().unwrap_or_else(|| otherwise.into())
    }

    /// Whether a setting is on.
    pub(super) fn is(&self, key: &str) -> bool {
        self.settings.get(key) == Some(&Value::Bool(true))
    }

    /// A setting's entries by name.
    pub(super) fn entries(&self, key: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.settings.get(key).and_then(Value::as_object).into_iter().flatten()
    }

    /// A setting's elements.
    pub(super) fn list(&self, key: &str) -> Vec<Value> {
        list(&self.get(key))
    }

    /// An output of its own.
    pub(super) fn own(&self, output: &str) -> Value {
        Reference::new(self.id.clone(), output).to_value()
    }

    /// The name of another object at the same place.
    pub(super) fn named(&self, kind: &str, name: &Value) -> Value {
        let id = name
            .as_str()
            .and_then(|name| format!("{}:{kind}/{name}", self.id.place()).parse().ok());
        id.map_or_else(|| name.clone(), |id: ResourceId| Reference::new(id, "name").to_value())
    }

    /// An output of the log group of a name.
    pub(super) fn log_group(&self, name: &Value, output: &str) -> Value {
        let own = name.as_str().map(|name| name.trim_start_matches('/'));
        let id = own.and_then(|own| format!("{}:logs.LogGroup/{own}", self.id.place()).parse().ok());
        id.map_or_else(|| name.clone(), |id: ResourceId| Reference::new(id, output).to_value())
    }

    /// The cluster that it belongs to, and its name there.
    pub(super) fn in_cluster(&self) -> (Value, &'a str) {
        let (cluster, own) = self.name().split_once('/').unwrap_or(("", self.name()));
        (self.named("eks.Cluster", &json!(cluster)), own)
    }

    /// The cluster that a service account is in, its namespace and its name.
    pub(super) fn service_account(&self) -> (Value, &'a str, &'a str) {
        let (cluster, own) = self.in_cluster();
        let (namespace, account) = own.split_once('/').unwrap_or(("", own));
        (cluster, namespace, account)
    }

    pub(super) fn partition(&self) -> &'static str {
        names::partition(region_of(self.id.place()))
    }

    /// Its ARN, where that can be computed.
    pub(super) fn arn(&self) -> Option<String> {
        let (name, account, region) = (self.name(), self.account, region_of(self.id.place()));
        let rest = match self.id.kind().as_str() {
            "iam.Role" => format!("iam::{account}:role{}{name}", self.get("path").as_str()?),
            "s3.Bucket" => format!("s3:::{name}"),
            "sns.Topic" => format!("sns:{region}:{account}:{name}"),
            "backup.Vault" => format!("backup:{region}:{account}:backup-vault:{name}"),
            "rds.DbInstance" => format!("rds:{region}:{account}:db:{name}"),
            _ => return None,
        };
        Some(format!("arn:{}:{rest}", self.partition()))
    }

    /// All statements of its policy: those that are wished for, and those that other settings make.
    pub(super) fn statements(&self) -> Vec<Value> {
        let mut all = self.list("statements");
        let tls_only = |action: &str, resource: Value| {
            json!({
                "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource,
                "Condition": { "Bool": { "aws:SecureTransport": "false" } },
            })
        };
        match self.id.kind().as_str() {
            "kms.Key" if self.is("root_access") => all.push(json!({
                "Sid": "AccountIamPolicies", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
                "Principal": { "AWS": format!("arn:{}:iam::{}:root", self.partition(), self.account) },
            })),
            "s3.Bucket" if self.is("tls_only") => {
                let arn = format!("arn:{}:s3:::{}", self.partition(), self.name());
                all.push(tls_only("s3:*", json!([arn, format!("{arn}/*")])));
            }
            "sns.Topic" if self.is("tls_only") => all.push(tls_only("sns:Publish", json!(self.arn()))),
            "backup.Vault" if self.is("deletion_denied") => all.push(json!({
                "Sid": "KeepBackups", "Effect": "Deny", "Principal": { "AWS": "*" }, "Resource": "*",
                "Action": ["backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle"],
            })),
            _ => {}
        }
        all
    }

    /// How a bucket encrypts: the algorithm, and the key where it is not S3's own.
    pub(super) fn bucket_encryption(&self) -> (&'static str, Value) {
        match self.settings.pointer("/encryption/kms_key") {
            None | Some(Value::Null) => ("AES256", Value::Null),
            Some(key) => ("aws:kms", key.clone()),
        }
    }

    /// Who owns what others put into a bucket.
    pub(super) fn bucket_owner(&self) -> &'static str {
        if self.is("acls_disabled") {
            "BucketOwnerEnforced"
        } else {
            "ObjectWriter"
        }
    }

    /// The parameters of a database's group.
    pub(super) fn database_parameters(&self) -> Map<String, Value> {
        let mut all = self.get("parameters").as_object().cloned().unwrap_or_default();
        let force = if self.is("force_ssl") { "1" } else { "0" };
        all.insert("rds.force_ssl".to_owned(), json!(force));
        all
    }

    /// What a cache with replicas has, unless it says otherwise.
    pub(super) fn many(&self, key: &str) -> Value {
        match self.get(key) {
            Value::Null => json!(self.get("replicas").as_u64() > Some(0)),
            said => said,
        }
    }

    /// How a cache's user proves who it is.
    pub(super) fn cache_login(&self) -> &'static str {
        match self.get("authentication").as_str() {
            Some("iam") => "iam",
            Some("password") => "password",
            _ => "no-password-required",
        }
    }

    /// Days that a log group keeps; none: for ever.
    pub(super) fn retention_days(&self) -> Option<i32> {
        self.get("retention_days").as_str().and_then(|days| days.parse().ok())
    }

    /// How an alarm compares.
    pub(super) fn comparison(&self) -> &'static str {
        match self.get("comparison").as_str() {
            Some(">") => "GreaterThanThreshold",
            Some(">=") => "GreaterThanOrEqualToThreshold",
            Some("<") => "LessThanThreshold",
            _ => "LessThanOrEqualToThreshold",
        }
    }

    /// What a dashboard shows.
    pub(super) fn dashboard(&self) -> Value {
        let mut body = json!({ "widgets": self.get("widgets") });
        if let start @ Value::String(_) = self.get("start") {
            body["start"] = start;
        }
        json_text(&body)
    }

    /// Whether a cluster is reached from outside.
    pub(super) fn is_public(&self) -> bool {
        !self.list("public_access").is_empty()
    }

    /// A setting in capital letters.
    pub(super) fn upper(&self, key: &str) -> Option<String> {
        self.get(key).as_str().map(str::to_uppercase)
    }

    /// A node group's taints: `key=value:NoSchedule` as key, value and effect.
    pub(super) fn taints(&self) -> Vec<[String; 3]> {
        let taint = |text: &Value| {
            let (pair, effect) = text.as_str()?.rsplit_once(':')?;
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let effect = match effect {
                "NoSchedule" => "NO_SCHEDULE",
                "NoExecute" => "NO_EXECUTE",
                _ => "PREFER_NO_SCHEDULE",
            };
            Some([key, value, effect].map(str::to_owned))
        };
        self.list("taints").iter().filter_map(taint).collect()
    }

    /// Whom an access entry lets in.
    pub(super) fn principal(&self) -> String {
        let (_, own) = self.in_cluster();
        let (account, principal) = own.split_once('/').unwrap_or((self.account, own));
        format!("arn:{}:iam::{account}:{principal}", self.partition())
    }

    /// The ARN of one of EKS's policies for access entries.
    pub(super) fn access_policy(&self, policy: &str) -> String {
        format!("arn:{}:eks::aws:cluster-access-policy/{policy}", self.partition())
    }
}

/// One resource of another language.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) r#type: &'static str,
    /// What it is called beyond its object's name, where an object has several of a type.
    pub(super) suffix: String,
    pub(super) values: Map<String, Value>,
}

impl Part {
    pub(super) fn new(r#type: &'static str, values: Value) -> Self {
        Self::called(r#type, "", values)
    }

    pub(super) fn called(r#type: &'static str, suffix: &str, values: Value) -> Self {
        let values = match values {
            Value::Object(values) => values,
            _ => Map::new(),
        };
        Self {
            r#type,
            suffix: suffix.to_owned(),
            values,
        }
    }
}

/// Whether it lies on AWS.
pub(super) fn is_aws(place: &Place) -> bool {
    place.as_ref().starts_with("aws/")
}

/// The elements of a list; none of anything else.
pub(super) fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// A list; null where it is empty.
pub(super) fn some(items: Vec<Value>) -> Value {
    if items.is_empty() {
        Value::Null
    } else {
        Value::Array(items)
    }
}

/// A document of JSON in a text.
pub(super) fn json_text(document: &Value) -> Value {
    json!({ JSON: document })
}

/// A policy of these statements.
pub(super) fn document(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": policy::normals(statements) })
}

/// Whether a statistic is no percentile.
pub(super) fn is_plain(statistic: &Value) -> bool {
    matches!(
        statistic.as_str(),
        Some("Average" | "Maximum" | "Minimum" | "SampleCount" | "Sum")
    )
}

/// Whether a route leads to a NAT gateway; else to an internet gateway.
pub(super) fn is_by_nat(route: &Value) -> bool {
    let by = route["by"].to_string();
    by.contains("ec2.NatGateway") || by.contains("nat-")
}

/// Whom a rule of a security group lets talk.
#[derive(Debug)]
pub(super) enum Peer<'a> {
    Itself,
    List(&'a Value),
    Ipv4(&'a Value),
    Ipv6(&'a Value),
    Group(&'a Value),
}

/// The peer, protocol, and first and last port of a rule; all ports are none.
pub(super) fn security_rule(rule: &Value) -> (Peer<'_>, &str, Value, Value) {
    let peer = &rule["peer"];
    let peer = match peer.as_str() {
        Some("self") => Peer::Itself,
        Some(text) if text.starts_with("pl-") => Peer::List(peer),
        Some(text) if text.contains(':') => Peer::Ipv6(peer),
        Some(text) if text.contains('/') => Peer::Ipv4(peer),
        _ => Peer::Group(peer),
    };
    match rule["protocol"].as_str().unwrap_or("tcp") {
        "-1" => (peer, "-1", Value::Null, Value::Null),
        protocol => (peer, protocol, rule["from"].clone(), rule["to"].clone()),
    }
}

/// The refusal of a kind that a language does not have.
pub(super) fn has_none(language: &str, id: &ResourceId) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{language} has no {}", id.kind()))
        .with_context("resource", id)
        .with_help("leave it out of what is exported")
}

/// The refusal of a reference to what is not exported.
pub(super) fn leads_out(reference: &Reference) -> Error {
    Error::new(ErrorKind::Invalid, format!("{reference} is not among what is exported"))
        .with_help("export a whole platform, not a part of it")
}
