//! Texts without the words that only one environment has.

use super::super::plan::PlanRequest;
use crate::value::SetId;
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands in the place of an id that a server or a hash made.
const ID: &str = "<id>";

/// What stands in the place of the platform's name, and of its environment's.
const NAME: &str = "<name>";
const ENVIRONMENT: &str = "<environment>";

/// Replaces words by what they stand for, the longest first.
#[derive(Debug)]
pub(super) struct Words(Vec<(String, String)>);

/// The words of a platform's own names.
pub(super) fn of_platform(set: &SetId, name: &str, environment: &str, prefix: &str) -> BTreeMap<String, String> {
    let stem = format!("{name}-{environment}");
    let own = if prefix.is_empty() {
        stem
    } else {
        format!("{stem}-{prefix}")
    };
    [
        (set.to_string(), "<set>"),
        (own, "<platform>"),
        (name.to_owned(), NAME),
        (environment.to_owned(), ENVIRONMENT),
    ]
    .map(|(word, meaning)| (word, meaning.to_owned()))
    .into()
}

impl Words {
    /// Those that a request tells, else those that the name of its set does.
    pub(super) fn of(request: &PlanRequest) -> Self {
        let mut words = request.words.clone();
        let parts: Vec<&str> = request.set.as_str().rsplitn(3, '-').collect();
        if let ([_, environment, name], true) = (&parts[..], words.is_empty()) {
            words = of_platform(&request.set, name, environment, "");
        }
        let mut plain: Vec<(String, String)> = words.into_iter().filter(|(word, _)| !word.is_empty()).collect();
        plain.sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        // A name that the config gives stands for a computed one, in which there are words again.
        let meant = Self(plain);
        let settled = meant
            .0
            .iter()
            .map(|(word, meaning)| (word.clone(), meant.text(meaning)));
        Self(settled.collect())
    }

    /// Values and keys; a document in a text is read, so that its fields can be told.
    pub(super) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match serde_json::from_str(text) {
                Ok(document @ (Value::Object(_) | Value::Array(_))) => self.value(&document),
                _ => Value::String(self.text(text)),
            },
            Value::Array(items) => {
                let mut all: Vec<Value> = items.iter().map(|item| self.value(item)).collect();
                // Three subnets here and two there are subnets.
                all.dedup_by(|one, other| one == other && one.as_str().is_some_and(|text| text.contains(ID)));
                Value::Array(all)
            }
            Value::Object(map) => map
                .iter()
                .map(|(key, child)| (self.text(key), self.value(child)))
                .collect(),
            other => other.clone(),
        }
    }

    pub(super) fn text(&self, text: &str) -> String {
        if let Some((_, meaning)) = self.0.iter().find(|(word, _)| word == text) {
            return meaning.clone();
        }
        if text.contains('\n') {
            let lines: Vec<String> = text.split('\n').map(|line| self.line(line)).collect();
            return lines.join("\n");
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(next) = rest.chars().next() {
            let starts = before.is_none_or(|before: char| !before.is_alphanumeric());
            let word = self
                .0
                .iter()
                .filter(|_| starts)
                .find(|(word, meaning)| stands_in(word, meaning, rest));
            if let Some((word, meaning)) = word {
                out.push_str(meaning);
                rest = &rest[word.len()..];
                before = word.chars().next_back();
                continue;
            }
            if let Some(length) = id_at(rest, before) {
                out.push_str(ID);
                rest = &rest[length..];
                before = Some('>');
                continue;
            }
            out.push(next);
            rest = &rest[next.len_utf8()..];
            before = Some(next);
        }
        out
    }
}

impl Words {
    /// A line of a file, whose last word is a value: `environment: prod`.
    fn line(&self, line: &str) -> String {
        let value = line.rsplit([' ', '=']).next().unwrap_or(line);
        let (key, bare) = (&line[..line.len() - value.len()], value.trim_matches(['"', '\'', ',']));
        match self.0.iter().find(|(word, _)| word == bare && !key.is_empty()) {
            Some((word, meaning)) => self.text(key) + &value.replacen(word.as_str(), meaning, 1),
            None => self.text(line),
        }
    }
}

/// Whether a word is the beginning of a longer text. A platform's name and environment may be words of any text, such as
/// `data` and `local`: of letters alone they count as whole texts only.
fn stands_in(word: &str, meaning: &str, rest: &str) -> bool {
    let Some(behind) = rest.strip_prefix(word) else {
        return false;
    };
    let open = word.ends_with(|last: char| !last.is_alphanumeric());
    let is_common = [NAME, ENVIRONMENT].contains(&meaning) && word.chars().all(char::is_alphabetic);
    !is_common && (open || ends(behind))
}

fn ends(behind: &str) -> bool {
    !behind.starts_with(char::is_alphanumeric)
}

/// The length of the id that a text begins with: a UUID, a whole hash, or what follows a dash in `subnet-0a1b2c3d` and in names
/// that end in a hash.
fn id_at(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let uuid: [usize; 5] = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = rest.splitn(5, '-').collect();
    let hex = |text: &str| text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let is_uuid = parts.len() == 5 && parts.iter().zip(uuid).all(|(part, length)| hex(part) == length);
    if is_uuid
        && parts
            .iter()
            .take(4)
            .zip(uuid)
            .all(|(part, length)| part.len() == length)
    {
        return Some(36).filter(|length| ends(&rest[*length..]));
    }
    let length = rest
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
        .count();
    let digits = rest.bytes().take(length).filter(u8::is_ascii_digit).count();
    let is_hash = match before {
        Some('-') => length >= 8 || (length == 6 && digits > 0),
        None => length >= 16 && length == rest.len() && digits < length,
        _ => false,
    };
    (is_hash && ends(&rest[length..])).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::Words;
    use crate::blueprint::{Context, Environment};
    use crate::engine::PlanRequest;
    use serde_json::{Value, json};

    #[test]
    fn what_only_one_environment_says_stands_for_the_same() {
        let mut context = Context::new("shop", Environment::Prod, "team-a-");
        context
            .names
            .insert("shop-prod-team-a".to_owned(), "legacy-db".to_owned());
        let request = PlanRequest::destroy(context.set.clone())
            .with_words(context.words())
            .with_words([("333333333333".to_owned(), "<account>".to_owned())]);
        let words = Words::of(&request);
        let set = context.set.as_str();
        for (text, meant) in [
            (set, "<set>"),
            ("prod", "<environment>"),
            ("shop-prod-team-a", "<platform>"),
            ("shop-prod-team-a-logs", "<platform>-logs"),
            ("workshop-prod-team-ab", "workshop-prod-team-ab"),
            ("a prod shop", "a prod shop"),
            ("legacy-db", "<platform>"),
            (
                "arn:aws:rds:eu-west-1:333333333333:db:legacy-db",
                "arn:aws:rds:eu-west-1:<account>:db:<platform>",
            ),
            ("postgres.team-a-database.svc", "postgres.database.svc"),
            ("3333333333330", "3333333333330"),
            ("subnet-3a000000000000000", "subnet-<id>"),
            ("key/1234abcd-12ab-34cd-56ef-1234567890ab", "key/<id>"),
            ("nodes-ab12cd", "nodes-<id>"),
            ("made-facade", "made-facade"),
            ("9f86d081884c7d659a2feaa0c55ad015", "<id>"),
            (
                "postgres:17.11@sha256:9f86d081884c7d65",
                "postgres:17.11@sha256:9f86d081884c7d65",
            ),
            ("a: \"prod\"\nb: c\nd=shop", "a: \"<environment>\"\nb: c\nd=<name>"),
            ("é-shop-prod-team-a-ü", "é-<platform>-ü"),
        ] {
            assert_eq!(words.text(text), meant, "{text}");
        }
        let value = json!({"on": "{\"db\": \"legacy-db\"}", "in": ["subnet-aaaaaaaa", "subnet-bbbbbbbb"], "n": [1, 1]});
        assert_eq!(
            words.value(&value),
            json!({"on": {"db": "<platform>"}, "in": ["subnet-<id>"], "n": [1, 1]})
        );
        assert_eq!(words.value(&Value::Null), Value::Null);
        // A request without words is told by its set.
        let bare = Words::of(&PlanRequest::destroy(context.set.clone()));
        assert_eq!(bare.text("shop-prod/data"), "<platform>/data");
    }
}
