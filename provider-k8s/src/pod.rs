//! Pods that pass the restricted Pod Security Standard, whatever runs in them.

use crate::object::{Labels, cpu, tidy};
use platform_core::value::{Image, Size};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// User and group of every container: above 10,000, so that it is nobody's on the node.
pub(crate) const UID: u32 = 10_001;

/// CPU (thousandths of a core) and memory of a container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources {
    pub(crate) cpu_request: u32,
    pub(crate) cpu_limit: u32,
    pub(crate) memory_request: Size,
    pub(crate) memory_limit: Size,
}

impl Resources {
    /// What a sidecar or a Job needs.
    pub(crate) const fn small() -> Self {
        Self {
            cpu_request: 25,
            cpu_limit: 100,
            memory_request: Size::mib(32),
            memory_limit: Size::mib(64),
        }
    }

    /// A client that keeps buffers: a Job that talks S3.
    pub(crate) const fn client() -> Self {
        Self {
            cpu_request: 50,
            cpu_limit: 500,
            memory_request: Size::mib(64),
            memory_limit: Size::mib(256),
        }
    }

    /// A server: a quarter of its CPU and all of its memory are its own.
    pub(crate) const fn server(cpu_milli: u32, memory: Size) -> Self {
        Self {
            cpu_request: if cpu_milli < 40 { 10 } else { cpu_milli / 4 },
            cpu_limit: cpu_milli,
            memory_request: memory,
            memory_limit: memory,
        }
    }

    fn to_value(self) -> Value {
        json!({
            "requests": { "cpu": cpu(self.cpu_request), "memory": self.memory_request },
            "limits": { "cpu": cpu(self.cpu_limit), "memory": self.memory_limit },
        })
    }
}

/// One container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    name: &'static str,
    image: Image,
    resources: Resources,
    body: Map<String, Value>,
    mounts: Vec<Value>,
}

impl Container {
    pub(crate) fn new(name: &'static str, image: Image, resources: Resources) -> Self {
        Self {
            name,
            image,
            resources,
            body: Map::new(),
            mounts: Vec::new(),
        }
    }

    pub(crate) fn command<T: Into<String>>(self, command: impl IntoIterator<Item = T>) -> Self {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        self.with("command", json!(command))
    }

    pub(crate) fn args<T: Into<String>>(self, args: impl IntoIterator<Item = T>) -> Self {
        let args: Vec<String> = args.into_iter().map(Into::into).collect();
        self.with("args", json!(args))
    }

    /// Environment, by name; an empty value is left out, as the API server does.
    pub(crate) fn env(self, env: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> Self {
        let mut list: Vec<_> = env.into_iter().collect();
        list.sort_by(|(one, _), (next, _)| one.as_ref().cmp(next.as_ref()));
        let list = list
            .iter()
            .map(|(name, value)| match (name.as_ref(), value.as_ref()) {
                (name, "") => json!({ "name": name }),
                (name, value) => json!({ "name": name, "value": value }),
            })
            .collect();
        self.with("env", Value::Array(list))
    }

    pub(crate) fn ports(self, ports: &BTreeMap<String, u16>) -> Self {
        let mut list: Vec<(&String, &u16)> = ports.iter().collect();
        list.sort_by_key(|(_, port)| **port);
        let list: Vec<Value> = list
            .into_iter()
            .map(|(name, port)| json!({ "name": name, "containerPort": port, "protocol": "TCP" }))
            .collect();
        self.with("ports", Value::Array(list))
    }

    /// Startup, readiness and liveness by one action; starting may take `startup_seconds`.
    pub(crate) fn probes(self, ready: &Value, live: &Value, startup_seconds: u32) -> Self {
        let probe = |action: &Value, timing: Value| {
            let mut probe = timing;
            if let (Value::Object(probe), Value::Object(action)) = (&mut probe, action) {
                probe.extend(action.clone());
            }
            probe
        };
        let startup =
            json!({ "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": startup_seconds.div_ceil(5) });
        self.with("startupProbe", probe(ready, startup))
            .with(
                "readinessProbe",
                probe(ready, json!({ "periodSeconds": 5, "timeoutSeconds": 3 })),
            )
            .with(
                "livenessProbe",
                probe(
                    live,
                    json!({ "periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 6 }),
                ),
            )
    }

    /// Its last lines become part of its pod's status when it fails.
    pub(crate) fn says_why(self) -> Self {
        self.with("terminationMessagePolicy", json!("FallbackToLogsOnError"))
    }

    pub(crate) fn mount(mut self, volume: &str, path: &str) -> Self {
        self.mounts.push(json!({ "name": volume, "mountPath": path }));
        self
    }

    /// A mount that sees what the node mounts later.
    pub(crate) fn mount_of_node(mut self, volume: &str, path: &str) -> Self {
        self.mounts.push(json!({
            "name": volume, "mountPath": path, "readOnly": true, "mountPropagation": "HostToContainer",
        }));
        self
    }

    pub(crate) fn mount_read_only(mut self, volume: &str, path: &str) -> Self {
        self.mounts
            .push(json!({ "name": volume, "mountPath": path, "readOnly": true }));
        self
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.body.insert(key.to_owned(), value);
        self
    }

    pub(crate) fn resources(&self) -> Resources {
        self.resources
    }

    pub(crate) fn into_value(self) -> Value {
        let mut body = self.body;
        body.insert("name".to_owned(), json!(self.name));
        body.insert("image".to_owned(), json!(self.image));
        body.insert("imagePullPolicy".to_owned(), json!("IfNotPresent"));
        body.insert("resources".to_owned(), self.resources.to_value());
        body.insert("volumeMounts".to_owned(), Value::Array(self.mounts));
        body.insert(
            "securityContext".to_owned(),
            json!({
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "privileged": false,
                "readOnlyRootFilesystem": true,
            }),
        );
        Value::Object(body)
    }
}

/// One pod.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) service_account: String,
    pub(crate) labels: Labels,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) containers: Vec<Container>,
    pub(crate) volumes: Vec<Value>,
    /// Seconds between the first and the last signal.
    pub(crate) grace: u32,
    pub(crate) pull_secrets: Vec<String>,
    /// A pod of a Job, which ends.
    pub(crate) ends: bool,
}

impl Pod {
    /// The pod template.
    pub(crate) fn into_template(self) -> Value {
        let pull_secrets: Vec<Value> = self.pull_secrets.iter().map(|name| json!({ "name": name })).collect();
        let containers: Vec<Value> = self.containers.into_iter().map(Container::into_value).collect();
        let annotations = (!self.annotations.is_empty()).then_some(self.annotations);
        tidy(json!({
            "metadata": { "labels": self.labels, "annotations": annotations },
            "spec": {
                "serviceAccountName": self.service_account,
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "restartPolicy": if self.ends { "Never" } else { "Always" },
                "terminationGracePeriodSeconds": self.grace,
                "imagePullSecrets": pull_secrets,
                "securityContext": {
                    "runAsNonRoot": true,
                    "runAsUser": UID,
                    "runAsGroup": UID,
                    "fsGroup": UID,
                    // Walking a large volume at every start would take minutes.
                    "fsGroupChangePolicy": "OnRootMismatch",
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": containers,
                "volumes": self.volumes,
            },
        }))
    }
}

/// What all containers of some pods may use together: the measure of a namespace's quota.
pub(crate) fn sum<'a>(containers: impl IntoIterator<Item = &'a Container>) -> (u32, Size) {
    let (cpu, mib) = containers.into_iter().fold((0, 0), |(cpu, mib), container| {
        let resources = container.resources();
        (cpu + resources.cpu_limit, mib + resources.memory_limit.as_mib())
    });
    (cpu, Size::mib(mib))
}

/// A volume from a ConfigMap; only `keys`, or all of them.
pub(crate) fn config_volume(name: &str, config_map: &str, keys: &[&str]) -> Value {
    json!({ "name": name, "configMap": { "name": config_map, "defaultMode": 0o444, "items": same_paths(keys) } })
}

/// A volume from a Secret, readable by the pod's group alone; only `keys` under their paths, or all of them.
pub(crate) fn secret_volume(name: &str, secret: &str, keys: &[(&str, &str)]) -> Value {
    let items: Vec<Value> = keys
        .iter()
        .map(|(key, path)| json!({ "key": key, "path": path }))
        .collect();
    json!({ "name": name, "secret": { "secretName": secret, "defaultMode": 0o440, "items": items } })
}

/// A scratch directory; in memory where it holds secrets or sockets.
pub(crate) fn scratch_volume(name: &str, size: Size, in_memory: bool) -> Value {
    json!({ "name": name, "emptyDir": { "sizeLimit": size, "medium": in_memory.then_some("Memory") } })
}

/// A directory of the node.
pub(crate) fn node_volume(name: &str, path: &str) -> Value {
    json!({ "name": name, "hostPath": { "path": path, "type": "" } })
}

/// The pod's own token and the cluster's CA, where clients look for them; renewed every hour.
pub(crate) fn token_volume(name: &str) -> Value {
    json!({ "name": name, "projected": { "defaultMode": 0o440, "sources": [
        { "serviceAccountToken": { "path": "token", "expirationSeconds": 3600 } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [
            { "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } },
        ]}},
    ]}})
}

fn same_paths(keys: &[&str]) -> Vec<Value> {
    keys.iter().map(|key| json!({ "key": key, "path": key })).collect()
}
