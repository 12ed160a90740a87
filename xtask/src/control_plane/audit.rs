//! What the API server itself says it was asked: its audit log.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use anyhow::{Context, Result};
use serde_json::Value;

/// The policy: every request, without bodies, once.
pub(super) const POLICY: &str = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":[{"level":"Metadata"}]}"#;

/// One finished request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Path and query.
    pub uri: String,
    /// Name of the user; the groups are not kept.
    pub user: String,
    /// User-Agent header, empty if none was sent.
    pub user_agent: String,
    /// HTTP status of the answer; 0 if there was none.
    pub code: u16,
}

impl AuditEvent {
    /// Whether it asked for a change: any verb but get, list and watch, and no dry run.
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch" | "head" | "options") && !self.uri.contains("dryRun=")
    }

    fn parse(line: &str) -> Result<Option<Self>> {
        let event: Value = serde_json::from_str(line).with_context(|| format!("audit line {line:?}"))?;
        if event["stage"] != "ResponseComplete" {
            return Ok(None);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Some(Self {
            verb: text(&event["verb"]),
            uri: text(&event["requestURI"]),
            user: text(&event["user"]["username"]),
            user_agent: text(&event["userAgent"]),
            code: event["responseStatus"]["code"]
                .as_u64()
                .and_then(|code| code.try_into().ok())
                .unwrap_or(0),
        }))
    }
}

/// A moment in the audit log. The default is the server's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditMark(pub(super) u64);

/// The log file of one API server.
#[derive(Debug)]
pub(super) struct AuditLog {
    pub(super) file: PathBuf,
}

impl AuditLog {
    /// The finished requests since `mark`, in the order of their ends, and the moment after the last one.
    pub(super) fn since(&self, mark: AuditMark) -> Result<(Vec<AuditEvent>, AuditMark)> {
        let mut file = File::open(&self.file).with_context(|| format!("open {}", self.file.display()))?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)
            .with_context(|| format!("read {}", self.file.display()))?;
        // the last line may be half written
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let events = text[..whole]
            .lines()
            .filter_map(|line| AuditEvent::parse(line).transpose())
            .collect::<Result<_>>()?;
        Ok((events, AuditMark(mark.0 + whole as u64)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_finished_requests_only() {
        let line = r#"{"stage":"ResponseComplete","requestURI":"/api/v1/namespaces?dryRun=All","verb":"create","user":{"username":"dev"},"userAgent":"x/1","responseStatus":{"code":201}}"#;
        let event = AuditEvent::parse(line).unwrap().unwrap();
        assert_eq!((event.user.as_str(), event.code, event.writes()), ("dev", 201, false));
        assert!(
            AuditEvent {
                uri: "/api/v1/namespaces".into(),
                ..event
            }
            .writes()
        );
        assert_eq!(
            AuditEvent::parse(&line.replace("ResponseComplete", "ResponseStarted")).unwrap(),
            None
        );
    }
}
