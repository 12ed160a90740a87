//! Outputs as people read them: where to connect and where the credentials are, never their values.

use super::style::{Style, Tone};
use super::value::{masked, short};
use crate::Result;
use crate::database::Credentials;
use crate::engine::plan::typed_outputs;
use crate::surface::Capability;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;

/// The outputs of a platform, by capability; of a capability used alone, just its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs(Value);

impl Outputs {
    /// Outputs as a plan or a report holds them.
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// The outputs of one capability; `None` when it is not part of the platform.
    ///
    /// # Errors
    /// `Internal` when they do not have the shape of `O`, or hold what is known only after an apply.
    pub fn get<O: DeserializeOwned>(&self, capability: Capability) -> Result<Option<O>> {
        self.0.get(capability.as_str()).map(typed_outputs).transpose()
    }

    /// Everything; what is not known yet stands as `(known after apply)`.
    pub fn document(&self) -> Value {
        masked(&self.0)
    }

    /// Service connections as text.
    pub fn display(&self) -> OutputsText<'_> {
        OutputsText {
            outputs: self,
            style: Style { colour: false },
        }
    }

    /// [`Outputs::display`] with or without ANSI colours.
    pub fn display_with(&self, colour: bool) -> OutputsText<'_> {
        OutputsText {
            outputs: self,
            style: Style { colour },
        }
    }
}

/// Outputs as text; made by [`Outputs::display`].
#[derive(Clone, Debug)]
pub struct OutputsText<'a> {
    outputs: &'a Outputs,
    style: Style,
}

impl fmt::Display for OutputsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match masked(&self.outputs.0) {
            Value::Object(map) if map.values().all(|value| value.is_object() || value.is_null()) => {
                for (name, value) in &map {
                    writeln!(f, "  {}", self.style.paint(Tone::Strong, name))?;
                    write_fields(f, value)?;
                }
                Ok(())
            }
            Value::Null => Ok(()),
            other => write_fields(f, &other),
        }
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    let Value::Object(map) = value else {
        return writeln!(f, "    {}", short(value));
    };
    if let (Some(host), Some(port)) = (map.get("host"), map.get("port")) {
        writeln!(f, "    {:13} {}:{port}", "address", short(host))?;
    }
    for (name, value) in map {
        match name.as_str() {
            "host" | "port" if map.contains_key("host") && map.contains_key("port") => {}
            _ if value.is_null() => {}
            _ => match serde_json::from_value::<Credentials>(value.clone()) {
                Ok(credentials) => write_credentials(f, &credentials)?,
                Err(_) => writeln!(f, "    {:13} {}", name.replace('_', " "), inline(value))?,
            },
        }
    }
    Ok(())
}

fn write_credentials(f: &mut fmt::Formatter<'_>, credentials: &Credentials) -> fmt::Result {
    writeln!(
        f,
        "    {:13} {}, password in {} key {}",
        "user", credentials.username, credentials.location, credentials.password_key
    )?;
    if let Some(ca) = &credentials.ca {
        writeln!(f, "    {:13} {ca}", "CA")?;
    }
    Ok(())
}

/// A list or map on one line, without JSON's marks.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        Value::Object(map) if map.is_empty() => "none".to_owned(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| format!("{key} = {}", inline(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Value::String(text) => text.clone(),
        other => short(other),
    }
}
