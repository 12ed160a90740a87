//! How single values are read: units, choices, images.

use platform_core::value::image::{Image, RegistryPrefix};
use platform_core::value::{Percent, Schedule, Size, Span};
use platform_core::{CacheEngine, Capability, Environment, PodSecurity, Severity};
use serde_json::{Value as Json, json};

use super::block::{Read, Reader, choice};
use super::model::{Cpu, DefinitionsFrom, DigestPolicy, NatConfig, ProviderName, TlsIssuer};
use super::problem::Rule;
use super::yaml::Node;

/// Reads a value through its text form, which states its own problem and fix.
macro_rules! through_text {
    ($($type:ty, $rule:ident, $schema:expr;)+) => {$(
        impl Read for $type {
            fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
                let text = reader.loose_text(node)?;
                reader.parsed(node, Rule::$rule, text, str::parse::<Self>, |error| error.help())
            }
            fn schema() -> Json {
                $schema
            }
        }
    )+};
}
through_text! {
    Size, SizeUnit, json!({ "type": "string", "pattern": "^[0-9]+(Mi|Gi|Ti)$", "examples": ["512Mi", "10Gi", "2Ti"] });
    Span, SpanUnit, json!({ "type": "string", "pattern": "^[0-9]+[dhms]$", "examples": ["30d", "12h"] });
    Percent, PercentUnit, json!({ "type": "string", "pattern": "^([1-9][0-9]?|100)%$", "examples": ["80%", "5%"] });
    Schedule, Schedule, json!({ "type": "string", "examples": ["0 3 * * 0", "0 2 * * *"] });
    Cpu, CpuUnit, json!({ "type": ["string", "integer"], "pattern": "^[0-9]+m?$", "minimum": 1, "examples": ["500m", "2"] });
    Image, Image, json!({ "type": "string", "examples": ["docker.io/library/postgres:17.11"] });
    RegistryPrefix, Registry, json!({ "type": "string", "examples": ["registry.example.com/mirror"] });
}

choice! {
    Environment { "local" => Self::Local, "dev" => Self::Dev, "staging" => Self::Staging, "prod" => Self::Prod }
    ProviderName { "kubernetes" => Self::Kubernetes, "aws" => Self::Aws }
    CacheEngine { "valkey" => Self::Valkey, "redis" => Self::Redis }
    DefinitionsFrom { "own" => Self::Own, "existing" => Self::Existing }
    Severity { "info" => Self::Info, "warning" => Self::Warning, "critical" => Self::Critical }
    NatConfig { "none" => Self::None, "single" => Self::Single, "per_zone" => Self::PerZone }
    DigestPolicy { "on" => Self::On, "off" => Self::Off }
}

/// The capabilities, by the names of their blocks.
pub(super) const CAPABILITIES: [&str; 6] = ["database", "cache", "storage", "monitoring", "security", "backup"];

impl Read for Capability {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let word = reader.word(node, &CAPABILITIES)?;
        Self::ALL.into_iter().find(|capability| capability.as_str() == word)
    }
    fn schema() -> Json {
        json!({ "enum": CAPABILITIES })
    }
}

impl Read for PodSecurity {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(&node.value, super::yaml::Value::Scalar { text, .. } if text == "privileged") {
            let message = "\"privileged\" would let a pod take over its node";
            reader.refuse(Rule::PodSecurity, node.at, "", message, "write baseline or restricted");
            return None;
        }
        Some(match reader.word(node, &["baseline", "restricted"])? {
            "restricted" => Self::Restricted,
            _ => Self::Baseline,
        })
    }
    fn schema() -> Json {
        json!({ "enum": ["baseline", "restricted"] })
    }
}

impl Read for TlsIssuer {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let cert_manager = node.get("cert_manager").or_else(|| node.get("issuer")).is_some()
            || matches!(&node.value, super::yaml::Value::Scalar { text, .. } if text.starts_with("cert-manager"));
        if cert_manager {
            let message = "certificates from cert-manager are not available in this version";
            reader.refuse(
                Rule::NotAvailable,
                node.at,
                "",
                message,
                "write own: the platform's own authority",
            );
            return None;
        }
        reader.word(node, &["own"])?;
        Some(Self::Own)
    }
    fn schema() -> Json {
        json!({ "enum": ["own"] })
    }
}
