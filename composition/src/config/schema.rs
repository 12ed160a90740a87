//! The JSON Schema of config files, for editors.

use serde_json::{Value as Json, json};

use super::block::Read;
use super::model::PlatformConfig;

/// The JSON Schema (2020-12) of a config file. Every key has its meaning, unit, default and effect as description.
///
/// No key is required but `name` and `environment`, as the profile fills in the rest; a layer above or below may hold
/// those two.
pub fn schema() -> Json {
    let mut schema = PlatformConfig::schema();
    if let Some(object) = schema.as_object_mut() {
        object.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        object.insert("title".to_owned(), json!("ML platform config"));
    }
    schema
}
