//! A database server with its groups: on moto, which keeps all that it is made with, and on ministack, which changes it as
//! AWS does.

use crate::emulators::Account;
use crate::platform::{actions, apply, apply_with, everything, fields, plan};
use platform_core::engine::{Action, Approvals, Engine, Plan, PlanRequest};
use platform_core::value::{ResourceId, SetId};
use platform_core::{OnRemoval, Owner, Resource, Risk};
use serde_json::{Value, json};
use xtask::proxy::{Fault, Rule};

/// A server, its groups and their settings.
#[derive(Clone, Debug)]
struct Servers {
    set: SetId,
    subnets: ResourceId,
    parameters: ResourceId,
    server: ResourceId,
    subnet_settings: Value,
    parameter_settings: Value,
    settings: Value,
    on_removal: OnRemoval,
}

fn merge(into: &mut Value, patch: &Value) {
    for (key, value) in patch.as_object().unwrap() {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            into[key] = value.clone();
        }
    }
}

impl Servers {
    fn of(account: &Account, more: &Value) -> Self {
        let name = format!("p{}", account.id);
        let id = |kind: &str, name: String| -> ResourceId { format!("aws/eu-west-1:{kind}/{name}").parse().unwrap() };
        let subnets = id("rds.DbSubnetGroup", format!("{name}-dev"));
        let parameters = id("rds.DbParameterGroup", format!("{name}-dev-postgres17"));
        let mut settings = json!({
            "engine_version": "17", "class": "db.t4g.medium", "storage_gib": 20, "database": "app", "username": "platform",
            "kms_key": "arn:aws:kms:eu-west-1:123456789012:key/data", "subnet_group": subnets.name(),
            "security_groups": ["sg-0123456789abcdef0"], "parameter_group": parameters.name(), "deletion_protection": false,
        });
        merge(&mut settings, more);
        Self {
            set: SetId::of(&name, "dev", ""),
            server: id("rds.DbInstance", format!("{name}-dev")),
            subnet_settings: json!({"subnets": account.subnets()}),
            parameter_settings: json!({"family": "postgres17", "parameters": {"max_connections": "100"}}),
            settings,
            subnets,
            parameters,
            on_removal: OnRemoval::Snapshot,
        }
    }

    async fn on_moto() -> (Account, Self) {
        let account = Account::new().with_speed(50).with_rds_on_moto();
        // It looks the key of the master user's secret up.
        let kms = aws_sdk_kms::config::Builder::from(&account.behind()).endpoint_url(account.moto.url());
        let key = aws_sdk_kms::Client::from_conf(kms.build())
            .create_key()
            .send()
            .await
            .unwrap();
        let more = json!({"secret_key": key.key_metadata().unwrap().arn(), "tags": {"team": "ml"}});
        let servers = Self::of(&account, &more);
        (account, servers)
    }

    /// Without what ministack drops.
    fn on_ministack() -> (Account, Self) {
        let account = Account::new().with_speed(50);
        let more = json!({"log_exports": [],
            "backup_window": "03:00-04:00", "maintenance_window": "sun:05:00-sun:06:00"});
        let servers = Self::of(&account, &more);
        (account, servers)
    }

    fn request(&self) -> PlanRequest {
        let resource = |id: &ResourceId, settings: &Value| Resource::new(id.clone(), "database", settings.clone());
        PlanRequest {
            resources: vec![
                resource(&self.subnets, &self.subnet_settings),
                resource(&self.parameters, &self.parameter_settings),
                resource(&self.server, &self.settings)
                    .with_after(self.subnets.clone())
                    .with_after(self.parameters.clone())
                    .with_on_removal(self.on_removal),
            ],
            ..PlanRequest::destroy(self.set.clone())
        }
    }

    fn gone(&self) -> PlanRequest {
        PlanRequest::destroy(self.set.clone())
    }

    fn name(&self) -> &str {
        self.server.name().as_str()
    }
}

async fn instance(account: &Account, name: &str) -> Option<aws_sdk_rds::types::DbInstance> {
    let answer = account
        .rds_client()
        .describe_db_instances()
        .db_instance_identifier(name)
        .send()
        .await
        .ok()?;
    answer.db_instances().first().cloned()
}

async fn snapshots(account: &Account, name: &str) -> Vec<String> {
    let answer = account
        .rds_client()
        .describe_db_snapshots()
        .db_instance_identifier(name)
        .snapshot_type("manual")
        .send()
        .await
        .unwrap();
    let all = answer.db_snapshots().iter();
    all.filter_map(|snapshot| snapshot.db_snapshot_identifier().map(str::to_owned))
        .collect()
}

/// Plans, compares the changed fields, applies, and finds nothing more to do.
async fn changes(engine: &Engine, servers: &Servers, id: &ResourceId, expected: &[&str]) -> Plan {
    let next = plan(engine, &servers.request()).await;
    assert_eq!(fields(&next, id), expected);
    apply_with(engine, &next, &everything(&next)).await;
    let after = plan(engine, &servers.request()).await;
    assert!(
        after.is_empty(),
        "{expected:?}: {:#?}",
        after.changes().collect::<Vec<_>>()
    );
    next
}

/// Every field of a server is changed, alone, to another value, and reads back as it was written.
async fn every_field(engine: &Engine, servers: &mut Servers, patches: &[(Value, &str, Option<Risk>)]) {
    for (patch, field, risk) in patches {
        merge(&mut servers.settings, patch);
        let server = servers.server.clone();
        let change = changes(engine, servers, &server, &[field]).await;
        let risks: Vec<Risk> = change.step(&server).unwrap().risks.iter().copied().collect();
        assert_eq!(risks, Vec::from_iter(*risk), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_lives_from_create_to_snapshot_and_back() {
    let (account, mut servers) = Servers::on_moto().await;
    let engine = account.engine("a");
    let first = plan(&engine, &servers.request()).await;
    assert!(
        first.steps.iter().all(|step| step.action == Action::Create),
        "{first:?}"
    );
    apply(&engine, &first).await;
    let second = plan(&engine, &servers.request()).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
    let made = instance(&account, servers.name()).await.unwrap();
    assert_eq!(made.publicly_accessible(), Some(false));
    assert_eq!(made.storage_encrypted(), Some(true));
    assert!(made.master_user_secret().unwrap().secret_arn().is_some());

    let role = json!({"role": "arn:aws:iam::123456789012:role/monitoring", "seconds": 30});
    let (down, lower) = (Some(Risk::Downtime), Some(Risk::LowersProtection));
    every_field(
        &engine,
        &mut servers,
        &[
            (json!({"class": "db.m7g.large"}), "class", down),
            (json!({"storage_gib": 40}), "storage_gib", None),
            (json!({"multi_az": true}), "multi_az", None),
            (json!({"deletion_protection": true}), "deletion_protection", None),
            (json!({"iam_authentication": false}), "iam_authentication", down),
            (json!({"monitoring": role}), "monitoring", None),
            (json!({"log_exports": ["postgresql"]}), "log_exports", lower),
            (json!({"copy_tags_to_snapshots": false}), "copy_tags_to_snapshots", None),
            (json!({"minor_upgrades": false}), "minor_upgrades", lower),
            (json!({"backup_days": 14}), "backup_days", None),
            (json!({"backup_days": 7}), "backup_days", lower),
            (json!({"backup_window": "05:00-06:00"}), "backup_window", None),
            (
                json!({"maintenance_window": "Mon:08:00-Mon:09:00"}),
                "maintenance_window",
                None,
            ),
            (
                json!({"security_groups": ["sg-0123456789abcdef1"]}),
                "security_groups",
                Some(Risk::Exposes),
            ),
            (json!({"ca": "rds-ca-rsa4096-g1"}), "ca", down),
            (json!({"tags": {"team": "ai"}}), "tags.team", None),
        ],
    )
    .await;

    // A protected server is not deleted, and nothing else is while it stands.
    let destroy = engine.plan(&servers.gone()).await.unwrap();
    let refused = engine.apply(&destroy, &everything(&destroy), &mut |_| {}).await;
    let why = refused.unwrap_err().report();
    assert!(
        why.contains("protected from deletion") && why.contains("plan of its own"),
        "{why}"
    );
    assert!(instance(&account, servers.name()).await.is_some());
    let answer = account
        .rds_client()
        .describe_db_subnet_groups()
        .db_subnet_group_name(servers.subnets.name().as_str())
        .send()
        .await;
    assert!(answer.is_ok(), "what it stands on is there");
    merge(&mut servers.settings, &json!({"deletion_protection": false}));
    let server = servers.server.clone();
    let lowered = changes(&engine, &servers, &server, &["deletion_protection"]).await;
    assert!(lowered.step(&server).unwrap().risks.contains(&Risk::LowersProtection));

    // Removed with a final snapshot, which the next create tells of and can start from.
    let destroy = plan(&engine, &servers.gone()).await;
    assert!(destroy.step(&server).unwrap().risks.contains(&Risk::Irreversible));
    let report = apply_with(&engine, &destroy, &everything(&destroy)).await;
    assert!(report.left.is_empty(), "{:?}", report.left);
    assert!(instance(&account, servers.name()).await.is_none());
    let left = snapshots(&account, servers.name()).await;
    let [snapshot] = left.as_slice() else {
        panic!("{left:?}")
    };
    assert!(
        snapshot.starts_with(&format!("{}-final-", servers.name())),
        "{snapshot}"
    );
    let empty = plan(&engine, &servers.request()).await;
    let told = empty.step(&server).unwrap().warnings.join("; ");
    assert!(told.contains("starts empty") && told.contains(snapshot), "{told}");

    servers.settings["restore"] = json!({"snapshot": snapshot});
    let back = plan(&engine, &servers.request()).await;
    assert_eq!(back.step(&server).unwrap().action, Action::Create);
    assert!(back.step(&server).unwrap().warnings.is_empty());
    apply(&engine, &back).await;
    assert!(plan(&engine, &servers.request()).await.is_empty());
    // Where it came from asks for nothing more, and another source for the same server is refused.
    merge(&mut servers.settings, &json!({"restore": null}));
    assert!(plan(&engine, &servers.request()).await.is_empty());
    servers.settings["restore"] = json!({"snapshot": "another"});
    let refused = engine.plan(&servers.request()).await.unwrap();
    let blocked = refused.step(&server).unwrap().blocked.clone().unwrap();
    assert!(blocked.help.contains("never writes over"), "{blocked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_made_from_a_moment_of_another() {
    let (account, servers) = Servers::on_moto().await;
    let engine = account.engine("a");
    apply(&engine, &plan(&engine, &servers.request()).await).await;
    let mut copy = servers.clone();
    copy.server = format!("aws/eu-west-1:rds.DbInstance/{}-copy", servers.name())
        .parse()
        .unwrap();
    let both = |copy: &Servers| {
        let mut request = servers.request();
        request.resources.push(copy.request().resources[2].clone());
        request
    };
    for (restore, why) in [
        (json!({"source": "nobody", "time": "latest"}), "no automated backups"),
        (json!({"snapshot": "nothing"}), "DBSnapshotNotFound"),
    ] {
        copy.settings["restore"] = restore;
        let next = plan(&engine, &both(&copy)).await;
        let report = engine.apply(&next, &Approvals::none(), &mut |_| {}).await.unwrap();
        let (_, error) = report.failures().next().unwrap();
        assert!(error.report().contains(why), "{}", error.report());
    }
    for (patch, why) in [
        (json!({"engine_version": "18"}), "asks for 18"),
        (
            json!({"kms_key": "arn:aws:kms:eu-west-1:123456789012:key/other"}),
            "copy-db-snapshot",
        ),
        (json!({"username": "somebody"}), "master user is platform"),
    ] {
        let mut other = copy.clone();
        other.settings["restore"] = json!({"source": servers.name(), "time": "latest"});
        merge(&mut other.settings, &patch);
        let next = plan(&engine, &both(&other)).await;
        let report = engine.apply(&next, &Approvals::none(), &mut |_| {}).await.unwrap();
        let (_, error) = report.failures().next().unwrap();
        assert!(error.report().contains(why), "{}", error.report());
    }
    assert!(
        instance(&account, copy.name()).await.is_none(),
        "refused before any write"
    );
    copy.settings["restore"] = json!({"source": servers.name(), "time": "latest"});
    apply(&engine, &plan(&engine, &both(&copy)).await).await;
    let second = plan(&engine, &both(&copy)).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
    // moto gives the copy the resource id of its source; AWS does not.
    assert!(instance(&account, copy.name()).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_a_server_change_as_aws_changes_them() {
    let (account, mut servers) = Servers::on_ministack();
    let engine = account.engine("a");
    apply(&engine, &plan(&engine, &servers.request()).await).await;
    let second = plan(&engine, &servers.request()).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());

    // Parameters are set, changed and reset; TLS is a setting of its own.
    let parameters = servers.parameters.clone();
    servers.parameter_settings["parameters"] = json!({"log_statement": "ddl", "max_connections": "200"});
    changes(
        &engine,
        &servers,
        &parameters,
        &["parameters.log_statement", "parameters.max_connections"],
    )
    .await;
    servers.parameter_settings["parameters"] = json!({"max_connections": "200"});
    changes(&engine, &servers, &parameters, &["parameters.log_statement"]).await;
    servers.parameter_settings["force_ssl"] = json!(false);
    let open = changes(&engine, &servers, &parameters, &["force_ssl"]).await;
    assert!(open.step(&parameters).unwrap().risks.contains(&Risk::LowersProtection));
    let subnets = servers.subnets.clone();
    servers.subnet_settings["description"] = json!("other");
    servers.subnet_settings["tags"] = json!({"team": "ml"});
    changes(&engine, &servers, &subnets, &["description", "tags"]).await;

    every_field(
        &engine,
        &mut servers,
        &[
            (json!({"class": "db.m7g.large"}), "class", Some(Risk::Downtime)),
            (json!({"storage_gib": 40}), "storage_gib", None),
            (json!({"multi_az": true}), "multi_az", None),
            (json!({"multi_az": false}), "multi_az", Some(Risk::LowersProtection)),
            (json!({"private": false}), "private", Some(Risk::Exposes)),
            (json!({"private": true}), "private", None),
        ],
    )
    .await;

    // Somebody leaves a change for the maintenance window: it counts as made, and the plan says so.
    let deferred = account
        .rds_client()
        .modify_db_instance()
        .db_instance_identifier(servers.name())
        .db_instance_class("db.m7g.xlarge")
        .apply_immediately(false);
    deferred.send().await.unwrap();
    let drift = plan(&engine, &servers.request()).await;
    assert_eq!(fields(&drift, &servers.server), ["class"]);
    assert!(
        drift.warnings.iter().any(|text| text.contains("maintenance window")),
        "{:?}",
        drift.warnings
    );
    servers.settings["class"] = json!("db.m7g.xlarge");
    let folded = engine.plan(&servers.request()).await.unwrap();
    assert!(fields(&folded, &servers.server).is_empty(), "{folded:?}");

    // What cannot be is refused with what to do instead.
    for (patch, why) in [
        (json!({"engine_version": "18"}), "allow-major-version-upgrade"),
        (json!({"storage_gib": 20}), "only grows"),
        (
            json!({"kms_key": "arn:aws:kms:eu-west-1:123456789012:key/other"}),
            "copy-db-snapshot",
        ),
        (json!({"username": "somebody"}), "when the instance is made"),
        (json!({"restore": {"snapshot": "x"}}), "never writes over"),
        (json!({"username": "postgres"}), "guessed"),
        (json!({"engine_version": "17.6"}), "major version"),
        (json!({"storage_gib": 10}), "20 to 65536"),
        (json!({"maintenance_window": "never"}), "sun:03:30"),
    ] {
        let mut other = servers.clone();
        merge(&mut other.settings, &patch);
        let refused = engine.plan(&other.request()).await.unwrap();
        let blocked = refused.step(&servers.server).unwrap().blocked.clone();
        let blocked = blocked.unwrap_or_else(|| panic!("{patch}"));
        let text = format!("{}; {}", blocked.why, blocked.help);
        assert!(text.contains(why), "{patch}: {text}");
    }

    // Without approvals a destroy lets go of the server; what it stands on stays with it until it is adopted.
    servers.on_removal = OnRemoval::Retain;
    let kept = plan(&engine, &servers.request()).await;
    apply_with(&engine, &kept, &everything(&kept)).await;
    let released = plan(&engine, &servers.gone()).await;
    assert!(actions(&released).contains(&(Action::Release, "rds.DbInstance".to_owned())));
    let mut only = servers.gone();
    only.resources = servers.request().resources[..2].to_vec();
    let released = plan(&engine, &only).await;
    let report = apply(&engine, &released).await;
    assert!(report.left.iter().any(|live| live.owner == Owner::Retained));
    let adopt = plan(&engine, &servers.request()).await;
    assert_eq!(adopt.step(&servers.server).unwrap().action, Action::Adopt);
    apply(&engine, &adopt).await;
    assert!(plan(&engine, &servers.request()).await.is_empty());
}

/// Which run is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Run {
    Create,
    Update,
    Delete,
    /// A create from the final snapshot of an earlier one.
    Restore,
    /// A create from a moment of another server.
    Moment,
}

/// The world before a run, the run's plan, and the servers as they are to be then.
async fn ready(run: Run, moto: bool) -> (Account, Servers, Engine, Plan) {
    let (account, mut servers) = if moto {
        Servers::on_moto().await
    } else {
        Servers::on_ministack()
    };
    let engine = account.engine("killed");
    let mut next = plan(&engine, &servers.request()).await;
    if run != Run::Create {
        apply(&engine, &next).await;
        if matches!(run, Run::Restore | Run::Moment) {
            let gone = plan(&engine, &servers.gone()).await;
            apply_with(&engine, &gone, &everything(&gone)).await;
            let source = format!("{}-source", servers.name());
            servers.settings["restore"] = if run == Run::Restore {
                json!({"snapshot": snapshots(&account, servers.name()).await[0]})
            } else {
                by_hand(&account, &source, &servers.settings).await;
                json!({"source": source, "time": "latest"})
            };
            merge(
                &mut servers.settings,
                &json!({"deletion_protection": true, "multi_az": true, "maintenance_window": "mon:08:00-mon:09:00",
                    "monitoring": {"role": "arn:aws:iam::123456789012:role/monitoring"}}),
            );
            next = plan(&engine, &servers.request()).await;
        } else if run == Run::Update {
            merge(
                &mut servers.settings,
                &json!({"class": "db.m7g.large", "storage_gib": 30, "tags": {"team": "x"}}),
            );
            servers.parameter_settings["parameters"]["max_connections"] = json!("200");
            next = plan(&engine, &servers.request()).await;
        } else {
            next = plan(&engine, &servers.gone()).await;
        }
    }
    account.forget();
    (account, servers, engine, next)
}

/// A server that no set owns.
async fn by_hand(account: &Account, name: &str, settings: &Value) {
    let text = |key: &str| settings[key].as_str().unwrap();
    let made = account
        .rds_client()
        .create_db_instance()
        .db_instance_identifier(name)
        .engine("postgres")
        .engine_version(text("engine_version"))
        .db_instance_class(text("class"))
        .allocated_storage(20)
        .db_name(text("database"))
        .master_username(text("username"))
        .master_user_password("not the one that is kept")
        .storage_encrypted(true)
        .kms_key_id(text("kms_key"));
    made.send().await.unwrap();
}

/// After any kill the next run ends where the killed one was to end, and nothing is there twice.
async fn mended(run: Run, account: &Account, servers: &Servers, uid: Option<String>) {
    let engine = account.engine("next");
    let request = if run == Run::Delete {
        servers.gone()
    } else {
        servers.request()
    };
    let next = plan(&engine, &request).await;
    apply_with(&engine, &next, &everything(&next)).await;
    let after = plan(&engine, &request).await;
    assert!(after.is_empty(), "{run:?}: {:#?}", after.changes().collect::<Vec<_>>());
    let there = instance(account, servers.name()).await;
    if run == Run::Delete {
        assert!(there.is_none() && after.steps.is_empty());
        assert_eq!(snapshots(account, servers.name()).await.len(), 1, "one final snapshot");
    } else {
        if matches!(run, Run::Restore | Run::Moment) {
            restored(there.as_ref().unwrap(), &servers.settings);
        }
        let now = there.and_then(|server| server.dbi_resource_id);
        assert!(uid.is_none() || now == uid, "the same incarnation");
    }
}

/// What a restore does not take from the copy, or takes otherwise than asked, is right all the same.
fn restored(server: &aws_sdk_rds::types::DbInstance, settings: &Value) {
    let secret = server.master_user_secret().unwrap();
    assert!(secret.secret_arn().is_some());
    assert_eq!(secret.kms_key_id(), settings["secret_key"].as_str());
    assert_eq!(server.kms_key_id(), settings["kms_key"].as_str());
    let group = server.db_parameter_groups()[0].db_parameter_group_name();
    assert_eq!(group, settings["parameter_group"].as_str());
    assert_eq!(
        (server.deletion_protection(), server.multi_az()),
        (Some(true), Some(true))
    );
    assert_eq!(server.preferred_maintenance_window(), Some("mon:08:00-mon:09:00"));
    assert_eq!(server.monitoring_interval(), Some(60));
    let tag = |key: &str| server.tag_list().iter().find(|tag| tag.key() == Some(key));
    assert!(tag("mlplat:restored-from").is_some() && tag("mlplat:making").is_none());
}

async fn kill_everywhere(run: Run, moto: bool) {
    let (account, _, engine, next) = ready(run, moto).await;
    apply_with(&engine, &next, &everything(&next)).await;
    let total = account.rds.calls().len() as u64;
    let mut killed = 0;
    // MLPLAT_KILL_EVERY=1 kills before and after each call; else some are picked, which every run picks alike.
    let every = std::env::var("MLPLAT_KILL_EVERY").map_or(13, |every| every.parse().unwrap());
    let at: Vec<(u64, bool)> = (1..=total).flat_map(|n| [(n, false), (n, true)]).collect();
    let at: Vec<(u64, bool)> = at.into_iter().step_by(every).collect();
    for batch in at.chunks(6) {
        let runs = batch.iter().map(|&(n, after)| async move {
            let (account, servers, engine, next) = ready(run, moto).await;
            let fault = if after { Fault::StopAfter } else { Fault::StopBefore };
            account.rds.set_rules([Rule::new(fault).nth(n)]);
            let applying = tokio::spawn(async move { engine.apply(&next, &everything(&next), &mut |_| {}).await });
            let handle = applying.abort_handle();
            tokio::select! {
                () = account.rds.stopped() => {
                    handle.abort();
                    account.rds.set_rules([]);
                }
                outcome = applying => {
                    assert!(outcome.unwrap().unwrap().is_success());
                    return false;
                }
            }
            let uid = instance(&account, servers.name())
                .await
                .and_then(|server| server.dbi_resource_id);
            mended(run, &account, &servers, uid).await;
            true
        });
        killed += futures::future::join_all(runs)
            .await
            .into_iter()
            .filter(|killed| *killed)
            .count();
    }
    println!(
        "{run:?} on {}: killed {killed} times at {total} calls",
        if moto { "moto" } else { "ministack" }
    );
    assert!(killed * 4 >= at.len() * 3, "{killed} of {}", at.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_killed_at_any_call_to_moto_is_finished_by_the_next() {
    for run in [Run::Create, Run::Update, Run::Delete, Run::Restore, Run::Moment] {
        kill_everywhere(run, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_killed_at_any_call_to_ministack_is_finished_by_the_next() {
    for run in [Run::Create, Run::Update, Run::Delete] {
        kill_everywhere(run, false).await;
    }
}
