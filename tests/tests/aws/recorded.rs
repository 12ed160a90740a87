//! What the calls of a run ask of IAM: actions, the ARNs that they name, and what they tell of tags.

use crate::between::{between, fields, signed_for};
use crate::models::Routes;
use crate::policies::simulate;
use crate::rights::action;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpClient};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// The account that moto takes everybody for.
const MOTO: &str = "123456789012";

const KEY: &str = "kms:{region}:{account}:key/{}";

/// What a field of a service's calls names, where it is no ARN.
const NAMED: &[(&str, &str, &str)] = &[
    ("backup", "backupVaultName", "backup:{region}:{account}:backup-vault:{}"),
    ("backup", "BackupVaultName", "backup:{region}:{account}:backup-vault:{}"),
    ("backup", "backupPlanId", "backup:{region}:{account}:backup-plan:{}"),
    ("cloudwatch", "AlarmName", "cloudwatch:{region}:{account}:alarm:{}"),
    (
        "cloudwatch",
        "AlarmNames.member.1",
        "cloudwatch:{region}:{account}:alarm:{}",
    ),
    ("cloudwatch", "DashboardName", "cloudwatch::{account}:dashboard/{}"),
    (
        "cloudwatch",
        "DashboardNames.member.1",
        "cloudwatch::{account}:dashboard/{}",
    ),
    ("eks", "name", "eks:{region}:{account}:cluster/{}"),
    ("eks", "clusterName", "eks:{region}:{account}:cluster/{}"),
    (
        "eks",
        "nodegroupName",
        "eks:{region}:{account}:nodegroup/{cluster}/{}/0",
    ),
    ("eks", "addonName", "eks:{region}:{account}:addon/{cluster}/{}/0"),
    (
        "eks",
        "principalArn",
        "eks:{region}:{account}:access-entry/{cluster}/role/{account}/admin/0",
    ),
    (
        "eks",
        "associationId",
        "eks:{region}:{account}:podidentityassociation/{cluster}/{}",
    ),
    (
        "elasticache",
        "CacheParameterGroupName",
        "elasticache:{region}:{account}:parametergroup:{}",
    ),
    (
        "elasticache",
        "CacheSubnetGroupName",
        "elasticache:{region}:{account}:subnetgroup:{}",
    ),
    (
        "elasticache",
        "CacheClusterId",
        "elasticache:{region}:{account}:cluster:{}",
    ),
    (
        "elasticache",
        "ReplicationGroupId",
        "elasticache:{region}:{account}:replicationgroup:{}",
    ),
    ("elasticache", "UserId", "elasticache:{region}:{account}:user:{}"),
    (
        "elasticache",
        "UserGroupId",
        "elasticache:{region}:{account}:usergroup:{}",
    ),
    ("events", "Name", "events:{region}:{account}:rule/{}"),
    ("events", "Rule", "events:{region}:{account}:rule/{}"),
    ("iam", "RoleName", "iam::{account}:role/mlplat/{set}/{}"),
    ("kms", "KeyId", KEY),
    ("kms", "TargetKeyId", KEY),
    ("kms", "AliasName", "kms:{region}:{account}:{}"),
    ("logs", "logGroupName", "logs:{region}:{account}:log-group:{}"),
    ("logs", "logGroupNamePrefix", "logs:{region}:{account}:log-group:{}"),
    ("rds", "DBInstanceIdentifier", "rds:{region}:{account}:db:{}"),
    ("rds", "DBParameterGroupName", "rds:{region}:{account}:pg:{}"),
    ("rds", "DBSubnetGroupName", "rds:{region}:{account}:subgrp:{}"),
    ("s3", "bucket", "s3:::{}"),
    ("s3", "object", "s3:::{}"),
    (
        "secretsmanager",
        "Name",
        "secretsmanager:{region}:{account}:secret:{}-a1B2c3",
    ),
    (
        "secretsmanager",
        "SecretId",
        "secretsmanager:{region}:{account}:secret:{}-a1B2c3",
    ),
    ("sns", "Name", "sns:{region}:{account}:{}"),
];

/// EC2's ids by what they begin with.
const IDS: &[(&str, &str)] = &[
    ("acl-", "network-acl"),
    ("eipalloc-", "elastic-ip"),
    ("fl-", "vpc-flow-log"),
    ("igw-", "internet-gateway"),
    ("nat-", "natgateway"),
    ("rtb-", "route-table"),
    ("rtbassoc-", "route-table"),
    ("sg-", "security-group"),
    ("subnet-", "subnet"),
    ("vpc-", "vpc"),
    ("vpce-", "vpc-endpoint"),
];

/// What creates make whose ids nobody knows yet.
const BORN: &[(&str, &str)] = &[
    ("backup:CreateBackupPlan", "backup:{region}:{account}:backup-plan:{}"),
    ("ec2:AllocateAddress", "ec2:{region}:{account}:elastic-ip/{}"),
    ("ec2:CreateFlowLogs", "ec2:{region}:{account}:vpc-flow-log/{}"),
    (
        "ec2:CreateInternetGateway",
        "ec2:{region}:{account}:internet-gateway/{}",
    ),
    ("ec2:CreateNatGateway", "ec2:{region}:{account}:natgateway/{}"),
    ("ec2:CreateRouteTable", "ec2:{region}:{account}:route-table/{}"),
    ("ec2:CreateSecurityGroup", "ec2:{region}:{account}:security-group/{}"),
    ("ec2:CreateSubnet", "ec2:{region}:{account}:subnet/{}"),
    ("ec2:CreateVpc", "ec2:{region}:{account}:vpc/{}"),
    ("ec2:CreateVpcEndpoint", "ec2:{region}:{account}:vpc-endpoint/{}"),
];

/// Calls that give a role away, the field that names it, and to whom.
const PASSED: &[(&str, &str, &str)] = &[
    (
        "backup:CreateBackupSelection",
        "BackupSelection.IamRoleArn",
        "backup.amazonaws.com",
    ),
    (
        "ec2:CreateFlowLogs",
        "DeliverLogsPermissionArn",
        "vpc-flow-logs.amazonaws.com",
    ),
    ("eks:CreateCluster", "roleArn", "eks.amazonaws.com"),
    ("eks:CreateNodegroup", "nodeRole", "ec2.amazonaws.com"),
    ("eks:CreatePodIdentityAssociation", "roleArn", "pods.eks.amazonaws.com"),
];

/// The tag of what a set owns.
pub(crate) const MARK: &str = "mlplat:set";

/// A tag, key and value, of each of AWS's ids that has one of those which policies go by.
pub(crate) type Marks = BTreeMap<String, (String, String)>;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    action: String,
    region: String,
    fields: BTreeMap<String, String>,
}

/// Calls under the SDK, each noted once.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    routes: Arc<Routes>,
    calls: Arc<Mutex<BTreeSet<Call>>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            routes: Arc::new(Routes::load()),
            calls: Arc::default(),
        }
    }

    /// An HTTP client that notes what passes.
    pub(crate) fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        let recorder = self.clone();
        between(inner, move |wire, request| {
            recorder.calls.lock().unwrap().extend(recorder.read(&request));
            wire.call(request)
        })
    }

    fn read(&self, request: &HttpRequest) -> Option<Call> {
        let (region, _) = signed_for(request)?;
        let path = request.uri().split_once("//")?.1.split_once('/')?.1;
        let path = path.split('?').next().unwrap_or_default();
        let mut named = BTreeMap::new();
        let action = match action(request, &self.routes) {
            Some(action) => action,
            // The lease; all else there is made like any bucket.
            None if path.starts_with("mlplat-") && path.contains('/') && !path.ends_with('/') => {
                named.insert("object".to_owned(), path.to_owned());
                let verb = match request.method() {
                    "PUT" => "Put",
                    "DELETE" => "Delete",
                    _ => "Get",
                };
                format!("s3:{verb}Object")
            }
            None => return None,
        };
        if action.starts_with("s3:") && !named.contains_key("object") {
            let bucket = path.split('/').next().unwrap_or_default();
            named.extend((!bucket.is_empty()).then(|| ("bucket".to_owned(), bucket.to_owned())));
        }
        named.extend(self.routes.of(request).into_iter().flat_map(|(_, gaps)| gaps));
        // A bucket's settings name what others may do with it.
        let body = request.body().bytes().filter(|_| !action.starts_with("s3:"));
        let body = body.unwrap_or_default();
        if let Ok(body) = serde_json::from_slice::<Value>(body) {
            flatten("", &body, &mut named);
        } else {
            named.extend(fields(std::str::from_utf8(body).unwrap_or_default()));
        }
        Some(Call {
            action,
            region: region.to_owned(),
            fields: named,
        })
    }

    /// What the calls since the last time ask, for the simulator. Of AWS's ids those in `marks` carry this tag.
    pub(crate) fn take(&self, account: &str, set: &str, marks: &Marks) -> Vec<Value> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        let asked = calls.iter().flat_map(|call| call.asked(account, set, marks));
        let asked: BTreeSet<String> = asked.map(|one| one.to_string()).collect();
        asked.iter().map(|one| serde_json::from_str(one).unwrap()).collect()
    }
}

fn flatten(at: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |key: &str| {
        if at.is_empty() {
            key.to_owned()
        } else {
            format!("{at}.{key}")
        }
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&below(key), value, into)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, value)| flatten(&below(&index.to_string()), value, into));
        }
        Value::String(text) => {
            into.insert(at.to_owned(), text.clone());
        }
        other => {
            into.insert(at.to_owned(), other.to_string());
        }
    }
}

impl Call {
    fn asked(&self, account: &str, set: &str, marks: &Marks) -> Vec<Value> {
        let (service, _) = self.action.split_once(':').unwrap();
        let cluster = self.fields.get("name").or_else(|| self.fields.get("clusterName"));
        let arn = |template: &str, name: &str| {
            let filled = template
                .replace("{region}", &self.region)
                .replace("{account}", account)
                .replace("{set}", set)
                .replace("{cluster}", cluster.map_or("", String::as_str))
                .replace("{}", name);
            format!("arn:aws:{filled}")
        };
        let born = self
            .fields
            .iter()
            .any(|(field, value)| value == "mlplat:set" || field.ends_with("mlplat:set"));
        let context = |mark: Option<(&str, &str)>| {
            let request = born.then(|| ("aws:RequestTag/mlplat:set".to_owned(), set.to_owned()));
            let resource = mark.map(|(key, value)| (format!("aws:ResourceTag/{key}"), value.to_owned()));
            request.into_iter().chain(resource).collect::<BTreeMap<_, _>>()
        };
        let ours = Some((MARK, set));
        let mut on = Vec::new();
        for (field, value) in &self.fields {
            let named = NAMED.iter().find(|(of, known, _)| *of == service && known == field);
            let id = IDS.iter().find(|(start, _)| value.starts_with(start));
            if value.starts_with("arn:") && field != "principalArn" {
                on.push(json!({"arn": value.replace(MOTO, account), "context": context(ours)}));
            } else if let Some((.., template)) = named {
                // An alias leads to a key whose id the call does not say.
                let key = *template == KEY && value.starts_with("alias/");
                on.push(json!({"arn": arn(template, if key { "x123" } else { value }), "context": context(ours)}));
            } else if let Some((_, kind)) = id.filter(|_| service == "ec2" && !field.contains(".Groups.")) {
                let template = format!("ec2:{{region}}:{{account}}:{kind}/{{}}");
                let mark = marks.get(value).map(|(key, value)| (key.as_str(), value.as_str()));
                let mark = mark.or(ours.filter(|_| value.starts_with("rtbassoc-")));
                on.push(json!({"arn": arn(&template, value), "context": context(mark)}));
            }
        }
        if let Some((_, template)) = BORN.iter().find(|(action, _)| *action == self.action) {
            on.push(json!({"arn": arn(template, "x123"), "context": context(None)}));
        }
        let mut asked = vec![json!({"action": self.action, "on": on, "context": context(None)})];
        for (_, field, to) in PASSED.iter().filter(|(action, ..)| *action == self.action) {
            let role = json!({"arn": self.fields[*field], "context": {"iam:PassedToService": to}});
            asked.push(json!({"action": "iam:PassRole", "on": [role], "context": {}}));
        }
        asked
    }
}

/// What is wrong with these policies, by the simulator.
pub(crate) fn judge(account: &str, region: &str, runs: &[Value]) -> Value {
    let input = json!({"account": account, "region": region, "runs": runs});
    simulate(include_str!("recorded.mjs"), &input)
}
