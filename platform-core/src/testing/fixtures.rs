//! Values that users of the mocks can return, and a small platform of test kinds.
//!
//! ```
//! # use platform_core::testing::fixtures;
//! let mut database = platform_core::testing::fixtures::database_outputs();
//! database.host = "db.example".to_owned();
//! assert!(fixtures::plan(&fixtures::set(), Vec::new()).is_empty());
//! assert!(fixtures::report(&fixtures::set()).is_success());
//! ```

use crate::engine::{Action, Cause, Outcome, Plan, PlanRequest, Policy, Report, Step};
use crate::resource::{Holds, OnRemoval, Resource};
use crate::value::{Place, PlaceIdentity, Recipe, Reference, ResourceId, SetId, Span, Timestamp};
use crate::{
    BackupOutputs, CacheOutputs, Credentials, DatabaseOutputs, MonitoringOutputs, SecurityOutputs, StorageOutputs,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The set of a platform called `demo` in `local`.
pub fn set() -> SetId {
    SetId::of("demo", "local", "")
}

/// Credentials of `user`, in a Secret.
pub fn credentials(user: &str) -> Credentials {
    Credentials {
        location: format!("Secret {user}/credentials"),
        username: user.to_owned(),
        password_key: "password".to_owned(),
        ca: Some("Secret security/ca".to_owned()),
    }
}

/// A database at `postgres.database.svc:5432`.
pub fn database_outputs() -> DatabaseOutputs {
    DatabaseOutputs {
        host: "postgres.database.svc".to_owned(),
        port: 5432,
        database: "app".to_owned(),
        credentials: credentials("app"),
    }
}

/// A cache at `redis.cache.svc:6379`.
pub fn cache_outputs() -> CacheOutputs {
    CacheOutputs {
        host: "redis.cache.svc".to_owned(),
        read_host: None,
        port: 6379,
        credentials: credentials("default"),
    }
}

/// A store at `https://minio.storage.svc:9000` with the bucket `models`.
pub fn storage_outputs() -> StorageOutputs {
    StorageOutputs {
        endpoint: "https://minio.storage.svc:9000".to_owned(),
        console: Some("https://minio.storage.svc:9001".to_owned()),
        buckets: vec!["models".to_owned()],
        credentials: Some(credentials("admin")),
    }
}

/// One dashboard, alarms to Alertmanager.
pub fn monitoring_outputs() -> MonitoringOutputs {
    MonitoringOutputs {
        dashboards: [(
            "platform".to_owned(),
            "https://prometheus-grafana.monitoring.svc".to_owned(),
        )]
        .into(),
        credentials: Some(Credentials {
            ca: None,
            ..credentials("admin")
        }),
        alarms: "alertmanager".to_owned(),
    }
}

/// A CA in a Secret, no supplied secret.
pub fn security_outputs() -> SecurityOutputs {
    SecurityOutputs {
        ca: Some("Secret security/ca".to_owned()),
        secrets: BTreeMap::new(),
    }
}

/// A schedule called `daily`.
pub fn backup_outputs() -> BackupOutputs {
    BackupOutputs {
        store: "backups".to_owned(),
        schedule: "daily".to_owned(),
        cron: "0 2 * * *".to_owned(),
        retention: Span::days(7),
    }
}

/// A plan with these steps for one place.
pub fn plan(set: &SetId, steps: Vec<Step>) -> Plan {
    let places: BTreeMap<Place, PlaceIdentity> = steps
        .iter()
        .map(|step| (step.id.place().clone(), PlaceIdentity("fixture".to_owned())))
        .collect();
    Plan {
        schema: 1,
        library: env!("CARGO_PKG_VERSION").to_owned(),
        as_of: Timestamp::EPOCH,
        request: PlanRequest::destroy(set.clone()).into(),
        policy: Policy::default(),
        places,
        steps,
        outputs: Value::Null,
        warnings: Vec::new(),
        requests: 0,
    }
}

/// A step; ready unless it writes, with no risks.
pub fn step(id: &ResourceId, action: Action) -> Step {
    Step {
        id: id.clone(),
        component: "fixture".to_owned(),
        action,
        cause: Cause::Wish,
        uid: None,
        holds: Holds::Nothing,
        changes: Vec::new(),
        risks: BTreeSet::new(),
        deletable: false,
        kept_for: BTreeSet::new(),
        ready: action == Action::Unchanged,
        unverified: None,
        blocked: None,
        warnings: Vec::new(),
    }
}

/// The report of a run that did nothing.
pub fn report(set: &SetId) -> Report {
    Report {
        set: set.clone(),
        outcomes: BTreeMap::new(),
        outputs: Value::Null,
        left: Vec::new(),
        places: BTreeMap::new(),
        unseen: Vec::new(),
        took: Duration::ZERO,
        writes: 0,
    }
}

/// The report of a run that did these steps.
pub fn report_of(plan: &Plan) -> Report {
    let outcomes = plan.steps.iter().map(|step| {
        let outcome = if step.writes() {
            Outcome::Done(step.action)
        } else {
            Outcome::Unchanged
        };
        (step.id.clone(), outcome)
    });
    Report {
        outcomes: outcomes.collect(),
        outputs: plan.outputs.clone(),
        ..report(&plan.request.set)
    }
}

/// The place of the small platform.
///
/// # Panics
/// Never: the name is legal.
pub fn place() -> Place {
    parsed("k8s/test")
}

/// An id at [`place`]: `id("ConfigMap/db/settings")`.
///
/// # Panics
/// When the text is no `kind/name`.
pub fn id(text: &str) -> ResourceId {
    parsed(&format!("k8s/test:{text}"))
}

fn parsed<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Display,
{
    match text.parse() {
        Ok(value) => value,
        // A typing error in a test.
        #[allow(clippy::panic)]
        Err(why) => panic!("{why}"),
    }
}

/// What the small platform is asked to be. Every way in which kinds differ is in it: see [`kinds`](super::kinds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// A database with a volume of so many Gi.
    pub database: Option<u32>,
    /// The database's image.
    pub image: u32,
    /// The selectors of workloads: another one needs a new object.
    pub selector: u32,
    /// A cache.
    pub cache: bool,
    /// Buckets with these names, all with versioning and retention of so many days.
    pub buckets: BTreeMap<String, u32>,
    /// Queues, each with an alarm.
    pub queues: BTreeSet<String>,
    /// Settings by name, ready at once.
    pub settings: BTreeMap<String, u32>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            database: Some(10),
            image: 1,
            selector: 0,
            cache: true,
            buckets: [("models".to_owned(), 30)].into(),
            queues: ["jobs".to_owned()].into(),
            settings: [("limits".to_owned(), 1)].into(),
        }
    }
}

impl Wishes {
    /// Its resources.
    pub fn resources(&self) -> Vec<Resource> {
        let mut all = Vec::new();
        self.add_database(&mut all);
        if self.cache {
            self.add_cache(&mut all);
        }
        self.add_cloud(&mut all);
        for (name, value) in &self.settings {
            let desired = json!({"data": {"value": value.to_string()}});
            all.push(Resource::new(id(&format!("ConfigMap/{name}")), "settings", desired));
        }
        all
    }

    /// The request for it.
    pub fn request(&self) -> PlanRequest {
        PlanRequest {
            set: set(),
            resources: self.resources(),
            outputs: Value::Null,
            only: None,
            adopt: BTreeSet::new(),
            words: BTreeMap::new(),
        }
    }

    fn add_database(&self, all: &mut Vec<Resource>) {
        let Some(size) = self.database else { return };
        let (namespace, password) = (id("Namespace/database"), id("Secret/database/password"));
        let volume = id("PersistentVolumeClaim/database/data");
        // It holds what is kept, so it is kept.
        all.push(
            Resource::new(
                namespace.clone(),
                "database",
                json!({"metadata": {"labels": {"level": "restricted"}}}),
            )
            .with_on_removal(OnRemoval::Retain),
        );
        let generated = Recipe::generate(24).to_value();
        all.push(
            Resource::new(password.clone(), "database", json!({"data": {"password": generated}}))
                .with_holds(Holds::Durable)
                .with_on_removal(OnRemoval::Retain)
                .with_after(namespace.clone()),
        );
        let spec = json!({"spec": {"size": format!("{size}Gi"), "class": "fast"}});
        all.push(
            Resource::new(volume.clone(), "database", spec)
                .with_on_removal(OnRemoval::Retain)
                .with_after(namespace)
                .with_after(password.clone()),
        );
        let containers = json!([{"name": "postgres", "image": format!("postgres:{}", self.image), "memory": "1Gi"}]);
        let workload = json!({"spec": {"selector": format!("postgres-{}", self.selector), "containers": containers}});
        all.push(
            Resource::new(id("StatefulSet.apps/database/postgres"), "database", workload)
                .with_after(volume)
                .with_after(password),
        );
    }

    fn add_cache(&self, all: &mut Vec<Resource>) {
        let namespace = id("Namespace/cache");
        let volume = id("PersistentVolumeClaim/cache/data");
        all.push(Resource::new(
            namespace.clone(),
            "cache",
            json!({"metadata": {"labels": {"level": "restricted"}}}),
        ));
        all.push(
            Resource::new(
                volume.clone(),
                "cache",
                json!({"spec": {"size": "1Gi", "class": "fast"}}),
            )
            .with_holds(Holds::Rebuildable)
            .with_after(namespace),
        );
        let containers = json!([{"name": "valkey", "image": format!("valkey:{}", self.image), "memory": "256Mi"}]);
        let workload = json!({"spec": {"selector": format!("valkey-{}", self.selector), "containers": containers}});
        all.push(Resource::new(id("StatefulSet.apps/cache/valkey"), "cache", workload).with_after(volume));
    }

    fn add_cloud(&self, all: &mut Vec<Resource>) {
        let key = id("test.Key/main");
        if !self.buckets.is_empty() || !self.queues.is_empty() {
            all.push(
                Resource::new(key.clone(), "storage", json!({"rotation": true})).with_on_removal(OnRemoval::Retain),
            );
        }
        let key_id = Reference::new(key, "id").to_value();
        for (name, retention) in &self.buckets {
            let desired = json!({"versioning": true, "retention": retention, "key": key_id, "readers": ["app"]});
            all.push(
                Resource::new(id(&format!("test.Bucket/{name}")), "storage", desired)
                    .with_on_removal(OnRemoval::Retain),
            );
        }
        for name in &self.queues {
            let queue = id(&format!("test.Queue/{name}"));
            let url = Reference::new(queue.clone(), "url").to_value();
            all.push(Resource::new(queue, "queues", json!({"key": key_id, "delay": 5})));
            all.push(Resource::new(
                id(&format!("test.Alarm/{name}")),
                "queues",
                json!({"queue": url, "limit": 100}),
            ));
        }
    }
}
