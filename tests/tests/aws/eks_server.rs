//! EKS on loopback, as AWS documents it: neither emulator keeps half of what a cluster is made with, changes it, or tells
//! of tags that were written later. Objects are busy for a while, updates run one at a time, deletes have an order.

use crate::emulators::ask;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Describes that show an object as it is made or deleted, and an update as it runs.
const BUSY: u32 = 1;

/// One account's EKS; ends with the process.
#[derive(Clone, Debug)]
pub(crate) struct Eks {
    url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    account: String,
    /// Who makes the security group of a cluster.
    network: String,
    objects: BTreeMap<String, Object>,
    updates: BTreeMap<String, Update>,
    count: u32,
    /// Requests that were refused because something was busy.
    refused: u32,
}

#[derive(Debug)]
struct Object {
    body: Value,
    /// Describes until it is ready, or gone.
    busy: u32,
    deleting: bool,
    token: String,
}

#[derive(Debug)]
struct Update {
    /// Path of what it changes.
    of: String,
    change: Value,
    left: u32,
}

type Answer = (u16, Value);

fn refuse(status: u16, code: &str, message: &str) -> Answer {
    (status, json!({"__type": code, "message": message}))
}

impl Eks {
    pub(crate) fn start(account: &str, network: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let eks = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::new(Mutex::new(State {
                account: account.to_owned(),
                network: network.to_owned(),
                ..State::default()
            })),
        };
        let this = eks.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let this = this.clone();
                std::thread::spawn(move || this.serve(stream));
            }
        });
        eks
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Requests that were refused because something was busy.
    pub(crate) fn refused(&self) -> u32 {
        self.state.lock().unwrap().refused
    }

    /// Lets an object be as it is not by itself: `DEGRADED`.
    pub(crate) fn set_status(&self, path: &str, status: &str, health: Value) {
        let mut state = self.state.lock().unwrap();
        let body = &mut state.objects.get_mut(path).unwrap().body;
        body["status"] = json!(status);
        body["health"] = health;
    }

    /// Answers requests of one connection till it closes.
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let mut words = line.split_whitespace();
            let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
            let (mut length, mut elsewhere) = (0, false);
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                let header = header.trim().to_lowercase();
                if header.is_empty() {
                    break;
                }
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                elsewhere |= header.starts_with("authorization:") && !header.contains("/eu-west-1/");
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let (status, answer) = if elsewhere {
                (200, json!({"clusters": []}))
            } else {
                self.state.lock().unwrap().answer(&method, &target, &body)
            };
            let answer = answer.to_string();
            let code = serde_json::from_str::<Value>(&answer).unwrap()["__type"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-amzn-errortype: {code}\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            if stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(answer.as_bytes()))
                .is_err()
            {
                return;
            }
        }
    }
}

/// Path segment, key of its body, field that names it, tail of its ARN.
const CHILDREN: [(&str, &str, &str); 4] = [
    ("node-groups", "nodegroup", "nodegroupName"),
    ("addons", "addon", "addonName"),
    ("access-entries", "accessEntry", "principalArn"),
    ("pod-identity-associations", "association", "associationId"),
];

impl State {
    fn answer(&mut self, method: &str, target: &str, body: &Value) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parts: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .map(|part| percent_decode_str(part).decode_utf8().unwrap().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let query: BTreeMap<String, Vec<String>> =
            query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .fold(BTreeMap::new(), |mut all, pair| {
                    let (key, value) = pair.split_once('=').unwrap();
                    let value = percent_decode_str(value).decode_utf8().unwrap().into_owned();
                    all.entry(key.to_owned()).or_default().push(value);
                    all
                });
        match (method, parts.as_slice()) {
            ("GET", ["addons", "supported-versions"]) => {
                let version = &query["kubernetesVersion"][0];
                let one = |name: &str, default: bool| json!({"addonVersion": name, "compatibilities": [{"clusterVersion": version, "defaultVersion": default}]});
                let newest = one(&format!("v2-for-{version}"), false);
                let versions = [newest, one(&format!("v1-for-{version}"), true)];
                (
                    200,
                    json!({"addons": [{"addonName": query["addonName"][0], "addonVersions": versions}]}),
                )
            }
            (_, ["tags", arn]) => self.tags(method, arn, body, &query),
            ("POST", ["clusters"]) => {
                let name = body["name"].as_str().unwrap();
                let arn = self.arn("cluster", name);
                let mut body = body.clone();
                body["arn"] = json!(arn);
                body["endpoint"] = json!(format!("https://{name}.eks.test"));
                body["certificateAuthority"] = json!({"data": "Y2E="});
                let path = format!("clusters/{name}");
                if !self.objects.contains_key(&path) {
                    let group = self.security_group(name, &body["resourcesVpcConfig"]["subnetIds"][0]);
                    body["resourcesVpcConfig"]["clusterSecurityGroupId"] = json!(group);
                }
                self.create(&path, "cluster", body)
            }
            ("GET", ["clusters"]) => {
                let names = self.objects.keys().filter_map(|path| path.strip_prefix("clusters/"));
                let names: Vec<&str> = names.filter(|rest| !rest.contains('/')).collect();
                (200, json!({"clusters": names}))
            }
            ("POST", ["clusters", name, "update-config"]) => {
                let mut change = body.clone();
                let keys = change.as_object_mut().unwrap();
                keys.remove("clientRequestToken");
                if keys.len() != 1 {
                    return refuse(
                        400,
                        "InvalidRequestException",
                        "Only one type of update can be allowed.",
                    );
                }
                self.update(&format!("clusters/{name}"), change)
            }
            ("POST", ["clusters", name, "updates"]) => {
                let path = format!("clusters/{name}");
                let minor = |version: &Value| {
                    version
                        .as_str()
                        .and_then(|text| text.split_once('.')?.1.parse::<u32>().ok())
                };
                let now = self
                    .objects
                    .get(&path)
                    .and_then(|object| minor(&object.body["version"]));
                if minor(&body["version"]) != now.map(|now| now + 1) {
                    return refuse(
                        400,
                        "InvalidParameterException",
                        "Unsupported Kubernetes minor version update",
                    );
                }
                self.update(&path, json!({"version": body["version"]}))
            }
            ("GET", ["clusters", _, "updates", id]) => self.describe_update(id),
            ("GET", ["clusters", name]) => self.describe(&format!("clusters/{name}"), "cluster"),
            ("DELETE", ["clusters", name]) => {
                let path = format!("clusters/{name}");
                if self
                    .objects
                    .get(&path)
                    .is_some_and(|object| object.body["deletionProtection"] == true)
                {
                    return refuse(400, "InvalidRequestException", "deletion protection is enabled");
                }
                let nodes = format!("{path}/node-groups/");
                if self.objects.keys().any(|path| path.starts_with(&nodes)) {
                    return refuse(409, "ResourceInUseException", "Cluster has nodegroups attached");
                }
                let answer = self.delete(&path, "cluster");
                if answer.0 == 200 {
                    let within = format!("{path}/");
                    self.objects.retain(|path, _| !path.starts_with(&within));
                }
                answer
            }
            (_, ["clusters", name, segment, rest @ ..]) => self.child(method, name, segment, rest, body, &query),
            _ => refuse(404, "NotFoundException", target),
        }
    }

    fn child(
        &mut self,
        method: &str,
        cluster: &str,
        segment: &str,
        rest: &[&str],
        body: &Value,
        query: &BTreeMap<String, Vec<String>>,
    ) -> Answer {
        let Some((_, key, name_field)) = CHILDREN.into_iter().find(|(known, ..)| *known == segment) else {
            return refuse(404, "NotFoundException", segment);
        };
        if !self.objects.contains_key(&format!("clusters/{cluster}")) {
            return refuse(404, "ResourceNotFoundException", "No cluster found");
        }
        let folder = format!("clusters/{cluster}/{segment}");
        match (method, rest) {
            ("POST", []) => {
                let mut body = body.clone();
                body["clusterName"] = json!(cluster);
                self.count += 1;
                if segment == "pod-identity-associations" {
                    let same = |object: &Object| {
                        ["namespace", "serviceAccount"]
                            .iter()
                            .all(|field| object.body[*field] == body[*field])
                            && object.token != body["clientRequestToken"].as_str().unwrap_or_default()
                    };
                    if self
                        .objects
                        .iter()
                        .any(|(path, object)| path.starts_with(&folder) && same(object))
                    {
                        return refuse(409, "ResourceInUseException", "Association already exists");
                    }
                    body["associationId"] = json!(format!("a-{}", self.count));
                }
                let name = body[name_field].as_str().unwrap().to_owned();
                let arn = match key {
                    "accessEntry" => {
                        let (_, role) = name.rsplit_once('/').unwrap_or_default();
                        let rest = format!("{cluster}/role/{}/{role}/{}", self.account, self.count);
                        self.arn("access-entry", &rest)
                    }
                    "association" => self.arn("podidentityassociation", &format!("{cluster}/{name}")),
                    _ => self.arn(key, &format!("{cluster}/{name}/{}", self.count)),
                };
                body[format!("{key}Arn")] = json!(arn);
                self.create(&format!("{folder}/{name}"), key, body)
            }
            ("GET", []) => {
                let within = format!("{folder}/");
                let all = self.objects.iter().filter(|(path, _)| path.starts_with(&within));
                let wanted = |body: &Value| {
                    let filters = query
                        .iter()
                        .filter(|(key, _)| ["namespace", "serviceAccount"].contains(&key.as_str()));
                    filters.into_iter().all(|(key, values)| body[key] == values[0])
                };
                let all: Vec<Value> = all
                    .filter(|(_, object)| wanted(&object.body))
                    .map(|(_, object)| match segment {
                        "pod-identity-associations" => object.body.clone(),
                        _ => object.body[name_field].clone(),
                    })
                    .collect();
                let plural = match segment {
                    "node-groups" => "nodegroups",
                    "access-entries" => "accessEntries",
                    "pod-identity-associations" => "associations",
                    other => other,
                };
                (200, json!({plural: all}))
            }
            ("GET", [name]) => self.describe(&format!("{folder}/{name}"), key),
            ("DELETE", [name]) => self.delete(&format!("{folder}/{name}"), key),
            ("POST", [name, "update-config" | "update-version" | "update"]) => {
                let path = format!("{folder}/{name}");
                let change = self.merged(&path, body);
                self.update(&path, change)
            }
            ("POST", [name]) => {
                let Some(object) = self.objects.get_mut(&format!("{folder}/{name}")) else {
                    return refuse(404, "ResourceNotFoundException", "none");
                };
                merge(&mut object.body, body);
                (200, json!({key: object.body}))
            }
            (_, [name, "access-policies", rest @ ..]) => {
                let Some(object) = self.objects.get_mut(&format!("{folder}/{name}")) else {
                    return refuse(404, "ResourceNotFoundException", "none");
                };
                let mut all = object.body["policies"].as_array().cloned().unwrap_or_default();
                let arn = rest
                    .first()
                    .copied()
                    .or(body["policyArn"].as_str())
                    .unwrap_or_default()
                    .to_owned();
                match method {
                    "GET" => return (200, json!({"associatedAccessPolicies": all})),
                    _ => all.retain(|one| one["policyArn"] != arn),
                }
                if method == "POST" {
                    all.push(body.clone());
                }
                object.body["policies"] = json!(all);
                (200, json!({}))
            }
            _ => refuse(404, "NotFoundException", segment),
        }
    }

    fn arn(&self, what: &str, name: &str) -> String {
        format!("arn:aws:eks:eu-west-1:{}:{}/{name}", self.account, what.to_lowercase())
    }

    /// The security group that EKS makes for a cluster where its subnets are; a name only where nobody knows them.
    fn security_group(&mut self, cluster: &str, subnet: &Value) -> String {
        let made = subnet.as_str().and_then(|subnet| {
            let subnets = self.ec2(&format!("Action=DescribeSubnets&SubnetId.1={subnet}"));
            let vpc = within(&subnets, "vpcId")?;
            self.count += 1;
            let group = self.ec2(&format!(
                "Action=CreateSecurityGroup&GroupName=eks-cluster-sg-{cluster}-{}&VpcId={vpc}\
                 &GroupDescription=EKS%20created%20security%20group&TagSpecification.1.ResourceType=security-group\
                 &TagSpecification.1.Tag.1.Key=aws%3Aeks%3Acluster-name&TagSpecification.1.Tag.1.Value={cluster}",
                self.count
            ));
            within(&group, "groupId")
        });
        made.unwrap_or_else(|| "sg-cluster".to_owned())
    }

    /// Whether a rule of another security group names this one, which EC2 then does not delete, and EKS leaves there.
    fn is_named(&self, group: &str) -> bool {
        ["ip-permission.group-id", "egress.ip-permission.group-id"]
            .iter()
            .any(|filter| {
                let others = format!("Action=DescribeSecurityGroups&Filter.1.Name={filter}&Filter.1.Value.1={group}");
                within(&self.ec2(&others), "groupId").is_some()
            })
    }

    fn ec2(&self, form: &str) -> String {
        let headers = "Content-Type: application/x-www-form-urlencoded";
        let form = format!("{form}&Version=2016-11-15");
        ask(&self.network, "ec2", &self.account, "eu-west-1", headers, &form)
    }

    fn create(&mut self, path: &str, key: &str, mut body: Value) -> Answer {
        let token = body["clientRequestToken"].as_str().unwrap_or_default().to_owned();
        if let Some(object) = self.objects.get(path) {
            return if object.token == token && !token.is_empty() {
                (200, json!({key: object.body}))
            } else {
                refuse(409, "ResourceInUseException", "already exists")
            };
        }
        let lasts = ["cluster", "nodegroup", "addon"].contains(&key);
        if lasts {
            body["status"] = json!("CREATING");
        }
        let object = Object {
            body: body.clone(),
            busy: if lasts { BUSY } else { 0 },
            deleting: false,
            token,
        };
        self.objects.insert(path.to_owned(), object);
        (200, json!({key: body}))
    }

    fn describe(&mut self, path: &str, key: &str) -> Answer {
        let Some(object) = self.objects.get_mut(path) else {
            return refuse(404, "ResourceNotFoundException", "none");
        };
        if object.busy > 0 {
            object.busy -= 1;
        } else if object.deleting {
            let gone = self.objects.remove(path).unwrap();
            if let Some(group) = gone.body["resourcesVpcConfig"]["clusterSecurityGroupId"].as_str()
                && !self.is_named(group)
            {
                self.ec2(&format!("Action=DeleteSecurityGroup&GroupId={group}"));
            }
            return refuse(404, "ResourceNotFoundException", "none");
        } else if object.body["status"] == "CREATING" {
            object.body["status"] = json!("ACTIVE");
        }
        (200, json!({key: self.objects[path].body}))
    }

    fn delete(&mut self, path: &str, key: &str) -> Answer {
        let Some(object) = self.objects.get_mut(path) else {
            return refuse(404, "ResourceNotFoundException", "none");
        };
        if ["CREATING", "UPDATING"].contains(&object.body["status"].as_str().unwrap_or_default()) {
            self.refused += 1;
            return refuse(409, "ResourceInUseException", "busy");
        }
        let body = object.body.clone();
        if object.body.get("status").is_some() {
            (object.deleting, object.busy) = (true, BUSY);
            object.body["status"] = json!("DELETING");
        } else {
            self.objects.remove(path);
        }
        (200, json!({key: body}))
    }

    /// What an update of nodes or of an add-on makes of what it sends.
    fn merged(&self, path: &str, body: &Value) -> Value {
        let mut change = body.clone();
        let now = self
            .objects
            .get(path)
            .map(|object| object.body.clone())
            .unwrap_or_default();
        if let Some(payload) = body.get("labels") {
            let mut labels = now["labels"].as_object().cloned().unwrap_or_default();
            for gone in payload["removeLabels"].as_array().into_iter().flatten() {
                labels.remove(gone.as_str().unwrap());
            }
            labels.extend(payload["addOrUpdateLabels"].as_object().cloned().unwrap_or_default());
            change["labels"] = json!(labels);
        }
        if let Some(payload) = body.get("taints") {
            let mut taints = now["taints"].as_array().cloned().unwrap_or_default();
            let gone = payload["removeTaints"].as_array().cloned().unwrap_or_default();
            taints.retain(|taint| !gone.contains(taint));
            taints.extend(payload["addOrUpdateTaints"].as_array().cloned().unwrap_or_default());
            change["taints"] = json!(taints);
        }
        if let Some(map) = change.as_object_mut() {
            map.remove("clientRequestToken");
            map.remove("resolveConflicts");
        }
        change
    }

    fn update(&mut self, path: &str, change: Value) -> Answer {
        let Some(object) = self.objects.get_mut(path) else {
            return refuse(404, "ResourceNotFoundException", "none");
        };
        if object.body["status"] != "ACTIVE" && object.body["status"] != "DEGRADED" {
            self.refused += 1;
            return refuse(409, "ResourceInUseException", "an update is in progress");
        }
        object.body["status"] = json!("UPDATING");
        self.count += 1;
        let id = format!("u-{}", self.count);
        let update = Update {
            of: path.to_owned(),
            change,
            left: BUSY,
        };
        self.updates.insert(id.clone(), update);
        (200, json!({"update": {"id": id, "status": "InProgress"}}))
    }

    fn describe_update(&mut self, id: &str) -> Answer {
        let Some(update) = self.updates.get_mut(id) else {
            return refuse(404, "ResourceNotFoundException", "none");
        };
        if update.left > 0 {
            update.left -= 1;
            return (200, json!({"update": {"id": id, "status": "InProgress"}}));
        }
        if let Some(object) = self.objects.get_mut(&update.of)
            && object.body["status"] == "UPDATING"
        {
            merge(&mut object.body, &update.change);
            object.body["status"] = json!("ACTIVE");
        }
        (200, json!({"update": {"id": id, "status": "Successful"}}))
    }

    fn tags(&mut self, method: &str, arn: &str, body: &Value, query: &BTreeMap<String, Vec<String>>) -> Answer {
        let is_it = |object: &&mut Object| {
            object.body.as_object().unwrap().iter().any(|(key, value)| {
                key.to_lowercase().ends_with("arn") && value == arn && key != "principalArn" && key != "roleArn"
            })
        };
        let Some(object) = self.objects.values_mut().find(is_it) else {
            return refuse(404, "NotFoundException", arn);
        };
        let mut tags = object.body["tags"].as_object().cloned().unwrap_or_default();
        match method {
            "POST" => tags.extend(body["tags"].as_object().cloned().unwrap_or_default()),
            "DELETE" => tags.retain(|key, _| !query["tagKeys"].contains(key)),
            _ => {}
        }
        object.body["tags"] = json!(tags);
        (200, json!({"tags": tags}))
    }
}

/// What stands in the first element of this name.
fn within(xml: &str, tag: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    Some(rest.split('<').next()?.to_owned())
}

/// What is sent takes the place of what is there; only the network of a cluster is sent in parts.
fn merge(body: &mut Value, change: &Value) {
    let empty = Map::new();
    for (key, value) in change.as_object().unwrap_or(&empty) {
        match (key.as_str(), body[key].as_object_mut(), value.as_object()) {
            ("resourcesVpcConfig", Some(have), Some(sent)) => have.extend(sent.clone()),
            _ => body[key] = value.clone(),
        }
    }
}
