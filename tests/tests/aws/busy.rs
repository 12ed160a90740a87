//! ElastiCache more as AWS has it: a replication group is busy for a while after each change, and then neither takes a change
//! nor tells its tags; and what ministack forgets is kept here.

use crate::between::{answer, between, fields, reworded, signed_for};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Describes that show a group as busy after each change.
const BUSY: u32 = 1;
/// Fields that ministack does not keep, or not after a change.
const KEPT: [&str; 5] = [
    "AutoMinorVersionUpgrade",
    "CacheParameterGroupName",
    "EngineVersion",
    "KmsKeyId",
    "PreferredMaintenanceWindow",
];

/// What one account's ElastiCache knows beside what ministack does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<String, Group>,
    /// Users that log in by IAM.
    iam: BTreeSet<String>,
    /// Final snapshots that were asked for.
    snapshots: Vec<String>,
    /// Requests that were refused because a group was busy.
    refused: u32,
}

#[derive(Debug, Default)]
struct Group {
    /// Describes that will still show it as busy.
    busy: u32,
    /// Till one has shown it as available.
    refuses: bool,
    word: &'static str,
    kept: BTreeMap<String, String>,
    security_groups: Vec<String>,
    logs: Vec<String>,
}

type Form = BTreeMap<String, String>;

impl Memory {
    /// An HTTP client that talks to such an ElastiCache.
    pub(crate) fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        let memory = self.clone();
        between(inner, move |wire, request| memory.pass(wire, request))
    }

    /// Final snapshots that were asked for.
    pub(crate) fn snapshots(&self) -> Vec<String> {
        self.0.lock().unwrap().snapshots.clone()
    }

    /// Requests that were refused because a group was busy.
    pub(crate) fn refused(&self) -> u32 {
        self.0.lock().unwrap().refused
    }

    /// Lets a group be busy by itself: a nightly snapshot.
    pub(crate) fn snapshotting(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        let group = state.groups.get_mut(name).unwrap();
        (group.busy, group.refuses, group.word) = (BUSY, true, "snapshotting");
    }

    fn pass(&self, wire: &SharedHttpConnector, request: HttpRequest) -> HttpConnectorFuture {
        let Some(form) = form(&request) else {
            return wire.call(request);
        };
        if let Some(code) = self.hear(&form) {
            let body =
                format!("<ErrorResponse><Error><Code>{code}</Code><Message>busy</Message></Error></ErrorResponse>");
            let refusal = answer(400, body);
            return HttpConnectorFuture::ready(Ok(refusal));
        }
        let memory = self.clone();
        reworded(wire.call(request), move |xml| memory.mend(&form, xml))
    }

    /// Keeps what a request says; an error code when it is refused.
    fn hear(&self, form: &Form) -> Option<&'static str> {
        let mut state = self.0.lock().unwrap();
        let action = form["Action"].as_str();
        if action == "CreateUser" && form.get("AuthenticationMode.Type").is_some_and(|kind| kind == "iam") {
            state.iam.insert(form["UserId"].clone());
        }
        let arn = form
            .get("ResourceName")
            .and_then(|arn| arn.split_once(":replicationgroup:"));
        let name = match (form.get("ReplicationGroupId"), arn) {
            (Some(name), _) => name.clone(),
            (None, Some((_, name))) => name.to_owned(),
            (None, None) => return None,
        };
        if action == "CreateReplicationGroup" {
            state.groups.insert(name.clone(), Group::default());
        }
        let group = state.groups.get_mut(&name)?;
        if action == "DescribeReplicationGroups" {
            return None;
        }
        if group.refuses {
            state.refused += 1;
            return Some("InvalidReplicationGroupState");
        }
        if action == "ListTagsForResource" {
            return None;
        }
        (group.busy, group.refuses) = (BUSY, true);
        group.word = match action {
            "CreateReplicationGroup" => "creating",
            _ => "modifying",
        };
        for key in KEPT {
            if let Some(value) = form.get(key) {
                group.kept.insert(key.to_owned(), value.clone());
            }
        }
        let listed = |start: &str, end: &str| -> Vec<String> {
            let keys = form
                .iter()
                .filter(|(key, _)| key.starts_with(start) && key.ends_with(end));
            keys.map(|(_, value)| value.clone()).collect()
        };
        let security_groups = listed("SecurityGroupIds.", "");
        if !security_groups.is_empty() {
            group.security_groups = security_groups;
        }
        if !listed("LogDeliveryConfigurations.", "LogType").is_empty() {
            group.logs = listed("LogDeliveryConfigurations.", "LogGroup");
        }
        if action == "DeleteReplicationGroup" {
            state.groups.remove(&name);
            state.snapshots.extend(form.get("FinalSnapshotIdentifier").cloned());
        }
        None
    }

    /// An answer with what is kept.
    fn mend(&self, form: &Form, mut xml: String) -> String {
        let mut state = self.0.lock().unwrap();
        // Rules of users hold it, and ministack does not escape it.
        xml = xml.replace("&*", "&amp;*");
        let mut users = xml.split("<UserId>");
        let before = users.next().unwrap_or_default().to_owned();
        xml = users.fold(before, |xml, user| {
            let by_iam = user.split_once('<').is_some_and(|(id, _)| state.iam.contains(id));
            let user = user.replacen("<Type>no-password</Type>", "<Type>iam</Type>", usize::from(by_iam));
            format!("{xml}<UserId>{user}")
        });
        if let Some(group) = form
            .get("ReplicationGroupId")
            .and_then(|name| state.groups.get_mut(name))
        {
            if group.busy > 0 {
                group.busy -= 1;
                xml = put(&xml, "Status", group.word);
            } else {
                group.refuses = false;
            }
            if let Some(key) = group.kept.get("KmsKeyId") {
                xml = xml.replace("<ARN>", &format!("<KmsKeyId>{key}</KmsKeyId><ARN>"));
            }
            return group.mend(xml);
        }
        let server = form.get("CacheClusterId");
        match server.and_then(|id| state.groups.iter().find(|(name, _)| id.starts_with(*name))) {
            Some((_, group)) => group.mend(xml),
            None => xml,
        }
    }
}

impl Group {
    fn mend(&self, mut xml: String) -> String {
        for (tag, value) in &self.kept {
            xml = put(&xml, tag, value);
        }
        let each = |values: &[String], each: &dyn Fn(&String) -> String| values.iter().map(each).collect::<String>();
        let groups = each(&self.security_groups, &|id| {
            format!("<member><SecurityGroupId>{id}</SecurityGroupId></member>")
        });
        let logs = each(&self.logs, &|group| {
            format!(
                "<LogDeliveryConfiguration><DestinationDetails><CloudWatchLogsDetails><LogGroup>{group}</LogGroup>\
                 </CloudWatchLogsDetails></DestinationDetails></LogDeliveryConfiguration>"
            )
        });
        put(
            &put(&xml, "SecurityGroups", &groups),
            "LogDeliveryConfigurations",
            &logs,
        )
    }
}

/// The text with another content of the first element of this name.
fn put(xml: &str, tag: &str, content: &str) -> String {
    let (start, end) = (format!("<{tag}>"), format!("</{tag}>"));
    match (xml.find(&start), xml.find(&end)) {
        (Some(from), Some(to)) => format!("{}{content}{}", &xml[..from + start.len()], &xml[to..]),
        _ => xml.to_owned(),
    }
}

/// The fields of a request to ElastiCache.
fn form(request: &HttpRequest) -> Option<Form> {
    let (_, service) = signed_for(request)?;
    let body = request.body().bytes().filter(|_| service == "elasticache")?;
    Some(fields(std::str::from_utf8(body).ok()?))
}
