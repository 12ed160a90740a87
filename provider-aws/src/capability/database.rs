//! PostgreSQL on RDS: a server with its subnets and parameters.

use crate::aws::Shared;
use crate::draft::Draft;
use crate::kind::rds_db_instance::{LATEST, MAX_NAME, SMALLEST_GIB};
use crate::roles;
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::value::{FieldPath, Reference, ResourceId, Size};
use platform_core::{
    AlarmSubject, Blueprint, Capability, Context, DataAsset, Database, DatabaseFeatures, DatabaseOutputs,
    DatabaseSource, DatabaseSpec, Endpoint, Environment, Error, ErrorKind, Holds, OnRemoval, Result, Surface,
};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) const PORT: u16 = 5432;
/// The database that applications use.
const APP: &str = "app";
/// The master user: neither `postgres` nor `admin`, which are guessed first.
const USER: &str = "platform";
/// Major versions that RDS has and this library knows.
const VERSIONS: [&str; 3] = ["16", "17", "18"];
/// Connections that PostgreSQL and RDS keep for themselves.
const RESERVED_CONNECTIONS: u32 = 8;
/// The most that RDS takes.
const MOST_CONNECTIONS: u32 = 262_143;
/// Part of the name of the role by which RDS writes what its servers' operating systems do.
const MONITORING: &str = "database-monitoring";
/// Statements that take longer are logged.
const SLOW_MS: &str = "1000";

/// PostgreSQL on RDS.
#[derive(Debug)]
pub(crate) struct AwsDatabase(pub(crate) Arc<Shared>);

impl AwsDatabase {
    fn draft<'a>(&'a self, context: &'a Context) -> Draft<'a> {
        Draft::new(&self.0, context, Capability::Database.as_str())
    }
}

#[async_trait]
impl Database for AwsDatabase {
    fn features(&self) -> DatabaseFeatures {
        let mut features = DatabaseFeatures::default();
        features.versions = VERSIONS.to_vec();
        features.multi_az = true;
        features.deletion_protection = true;
        features
    }

    fn surface(&self, spec: &DatabaseSpec, context: &Context) -> Result<Surface> {
        check(spec)?;
        let draft = self.draft(context);
        let server = server(&draft)?;
        let name = server.name().to_string();
        let subject = |what: &str, limit: u64| AlarmSubject {
            what: what.to_owned(),
            capability: Capability::Database,
            limit: Some(limit),
            subject: name.clone(),
        };
        let bytes = Size::gib(u64::from(storage(spec)?.unsigned_abs())).bytes();
        Ok(Surface {
            endpoints: vec![Endpoint {
                name: "postgres".to_owned(),
                host: pattern(&draft, &name),
                port: PORT,
                tls: true,
                workload: None,
            }],
            data: vec![DataAsset {
                id: server,
                holds: Holds::Durable,
                workload: None,
            }],
            subjects: vec![
                subject("connections", u64::from(spec.max_connections)),
                subject("utilisation", bytes),
            ],
            ..Surface::default()
        })
    }

    fn blueprint(&self, spec: &DatabaseSpec, context: &Context) -> Result<Blueprint<DatabaseOutputs>> {
        check(spec)?;
        let draft = self.draft(context);
        let key = draft.data_key()?;
        let server = server(&draft)?;
        let subnets = draft.id("rds.DbSubnetGroup", &draft.name("", MAX_NAME))?;
        let family = format!("postgres{}", spec.version);
        let parameters = draft.id("rds.DbParameterGroup", &draft.name(&family, MAX_NAME))?;
        let mut resources = self.0.own_foundation(Capability::Database, context)?;
        resources.push(draft.resource(subnets.clone(), json!({ "subnets": draft.private_subnets()? })));
        resources.push(draft.resource(
            parameters.clone(),
            json!({
                "family": family,
                "parameters": {
                    "max_connections": spec.max_connections.to_string(),
                    "log_statement": "ddl",
                    "log_min_duration_statement": SLOW_MS,
                },
            }),
        ));
        let mut desired = json!({
            "engine_version": spec.version,
            "class": class(spec, context.environment),
            "storage_gib": storage(spec)?,
            "kms_key": key,
            "database": APP,
            "username": USER,
            "secret_key": key,
            "subnet_group": subnets.name(),
            "security_groups": [draft.security_group(Capability::Database)?],
            "parameter_group": parameters.name(),
            "multi_az": spec.multi_az,
            "deletion_protection": spec.deletion_protection,
            "insights_key": key,
            "monitoring": { "role": draft.role_arn(MONITORING) },
        });
        if let Some(source) = &spec.restore_from {
            desired["restore"] = restore(&draft, source)?;
        }
        // What stays as somebody else made it is told by the server itself.
        let left = context.left_of(&server);
        let mut instance = draft
            .resource(server.clone(), desired)
            .with_after(subnets)
            .with_after(parameters)
            .with_on_removal(OnRemoval::Retain);
        if !left.contains(&FieldPath::from("monitoring")) {
            let role = draft.role(
                MONITORING,
                &roles::services(&["monitoring.rds.amazonaws.com"]),
                &[],
                &[draft.managed_policy("service-role/AmazonRDSEnhancedMonitoringRole")],
            )?;
            instance = instance.with_after(role.id.clone());
            resources.push(role);
        }
        resources.push(instance);
        let made = |output: &str| Reference::new(server.clone(), output).to_value();
        let told = |field: &str, output: &str, usual: Value| {
            if left.contains(&FieldPath::from(field)) {
                made(output)
            } else {
                usual
            }
        };
        Ok(Blueprint::with_references(
            resources,
            json!({
                "host": made("host"),
                "port": PORT,
                "database": told("database", "database", json!(APP)),
                "credentials": {
                    "location": told("secret_key", "password", made("secret_arn")),
                    "username": told("username", "username", json!(USER)),
                    "password_key": "password",
                },
            }),
        ))
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

/// Refuses what RDS cannot do.
fn check(spec: &DatabaseSpec) -> Result<()> {
    if !VERSIONS.contains(&spec.version.as_str()) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("PostgreSQL {} does not run on RDS here", spec.version),
        )
        .with_help(format!("choose one of {}", VERSIONS.join(", "))));
    }
    if let Some(class) = &spec.storage_class {
        return Err(
            Error::new(ErrorKind::Unsupported, format!("RDS has no storage class {class}"))
                .with_help("leave `storage_class` out: volumes on AWS are gp3"),
        );
    }
    if spec.max_connections <= RESERVED_CONNECTIONS || spec.max_connections > MOST_CONNECTIONS {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("PostgreSQL cannot serve {} connections", spec.max_connections),
        )
        .with_help(format!(
            "write {} to {MOST_CONNECTIONS}: {RESERVED_CONNECTIONS} are kept for administration and metrics",
            RESERVED_CONNECTIONS + 1
        )));
    }
    storage(spec).map(drop)
}

fn server(draft: &Draft<'_>) -> Result<ResourceId> {
    draft.id("rds.DbInstance", &draft.name("", MAX_NAME))
}

/// What the server is made from, as its kind takes it.
fn restore(draft: &Draft<'_>, source: &DatabaseSource) -> Result<Value> {
    match source {
        DatabaseSource::Snapshot(snapshot) => {
            let name = snapshot_name(draft, snapshot)
                .map_err(|error| error.with_context("config", "database.restore_from.snapshot"))?;
            Ok(json!({ "snapshot": name }))
        }
        DatabaseSource::PointInTime { of, at } => {
            let time = at.map_or_else(|| LATEST.to_owned(), |at| at.to_string());
            Ok(json!({ "source": of, "time": time }))
        }
    }
}

/// The identifier of a snapshot that is named by it, or by its ARN.
pub(crate) fn snapshot_name<'a>(draft: &Draft<'_>, snapshot: &'a str) -> Result<&'a str> {
    if !snapshot.starts_with("arn:") {
        return Ok(snapshot);
    }
    let here = draft.arn("rds", "snapshot:");
    snapshot.strip_prefix(&here).ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            format!("{snapshot} is no snapshot of this account and region"),
        )
        .with_help(format!(
            "name one that begins with {here}; a copy can be made here: aws rds copy-db-snapshot"
        ))
    })
}

/// What its address looks like: RDS chooses the part behind the name, so clients take it from the outputs.
fn pattern(draft: &Draft<'_>, name: &str) -> String {
    let region = draft.shared.region();
    let suffix = if draft.partition() == "aws-cn" {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("{name}.*.{region}.rds.{suffix}")
}

/// Size of the volume: whole GiB, and no less than RDS gives.
fn storage(spec: &DatabaseSpec) -> Result<i32> {
    let gib = spec.storage.bytes().div_ceil(Size::gib(1).bytes());
    match i32::try_from(gib) {
        Ok(gib) if gib <= 65_536 => Ok(gib.max(SMALLEST_GIB)),
        _ => Err(
            Error::new(ErrorKind::Invalid, format!("RDS has no volume of {}", spec.storage))
                .with_help("write 64Ti at most"),
        ),
    }
}

/// The class that was asked for, or the environment's.
fn class(spec: &DatabaseSpec, environment: Environment) -> Value {
    match (&spec.instance_class, environment) {
        (Some(class), _) => json!(class),
        (None, Environment::Local | Environment::Dev) => json!("db.t4g.medium"),
        (None, Environment::Staging | Environment::Prod) => json!("db.m7g.large"),
    }
}
