//! Resource policies: one normal form, so that what AWS returns equals what was sent.

use platform_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

/// Keys whose value may be one text or a list of texts that mean the same.
const LISTS: &[&str] = &["Action", "NotAction", "Resource", "NotResource"];

/// A statement in normal form: no list of one, lists sorted.
pub(crate) fn normal(statement: &Value) -> Value {
    let Value::Object(map) = statement else {
        return statement.clone();
    };
    map.iter()
        .map(|(key, value)| {
            let value = match key.as_str() {
                "Principal" | "NotPrincipal" => each(value, flat),
                "Condition" => each(value, |operator| each(operator, flat)),
                key if LISTS.contains(&key) => flat(value),
                _ => value.clone(),
            };
            (key.clone(), value)
        })
        .collect::<Map<_, _>>()
        .into()
}

/// Statements in normal form and in one order.
pub(crate) fn normals(statements: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = statements.iter().map(normal).collect();
    all.sort_by_key(platform_core::value::canonical);
    all
}

/// A policy document of these statements.
pub(crate) fn document(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

/// The statements of a document, in normal form.
pub(crate) fn statements(document: &str) -> Result<Vec<Value>> {
    let document: Value = serde_json::from_str(document).map_err(|cause| {
        Error::new(
            ErrorKind::Internal,
            format!("the policy that AWS returned is not JSON: {cause}"),
        )
    })?;
    Ok(match document.get("Statement") {
        Some(Value::Array(statements)) => normals(statements),
        Some(one) => vec![normal(one)],
        None => Vec::new(),
    })
}

fn each(value: &Value, change: impl Fn(&Value) -> Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), change(value))).collect()),
        other => flat(other),
    }
}

fn flat(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.len() == 1 => items[0].clone(),
        Value::Array(items) => {
            let mut items = items.clone();
            items.sort_by_key(platform_core::value::canonical);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{document, normal, statements};
    use serde_json::json;

    #[test]
    fn lists_of_one_and_order_mean_nothing() {
        let a = json!({"Effect": "Allow", "Principal": {"AWS": ["x"]}, "Action": ["b", "a"], "Resource": ["*"],
            "Condition": {"Bool": {"aws:SecureTransport": ["false"]}}});
        let b = json!({"Effect": "Allow", "Principal": {"AWS": "x"}, "Action": ["a", "b"], "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
        assert_eq!(normal(&a), normal(&b));
        assert_eq!(statements(&document(&[a])).unwrap(), [normal(&b)]);
    }
}
