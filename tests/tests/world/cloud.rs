//! The environments of the examples on AWS, planned from their files, on the world: brought up, changed, destroyed, and killed
//! before and after every call.

use crate::crash::{Scenario, exhaust};
use crate::stage::{LAG, Stage, nothing};
use composition::aws::Aws;
use composition::config::PlatformConfig;
use composition::{Backups, Eks, Platform};
use libtest_mimic::Trial;
use platform_core::engine::{Action, PlanRequest};
use platform_core::testing::{Faults, Side};
use platform_core::value::{Clock, Place, ResourceId, SetId};
use platform_core::{Connect, OnRemoval, Owner, Provider, Resource};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("cloud::environments_come_and_go", environments_come_and_go),
        crate::trial("cloud::environments_keep_apart", environments_keep_apart),
        crate::trial(
            "cloud::rights_are_told_for_account_and_cluster",
            rights_are_told_for_account_and_cluster,
        ),
        crate::trial(
            "cloud::grafana_shows_cloudwatch_by_a_role",
            grafana_shows_cloudwatch_by_a_role,
        ),
        crate::trial("cloud::a_network_comes_and_goes", a_network_comes_and_goes),
        crate::trial("cloud::alarms_are_about_what_is_there", alarms_are_about_what_is_there),
        crate::trial(
            "cloud::backups_are_of_all_that_holds_data",
            backups_are_of_all_that_holds_data,
        ),
        crate::trial("cloud::a_database_starts_from_a_copy", a_database_starts_from_a_copy),
        crate::trial("cloud::a_backup_by_hand_is_listed", a_backup_by_hand_is_listed),
        crate::trial(
            "cloud::a_drill_killed_anywhere_is_made_up_for",
            a_drill_killed_anywhere_is_made_up_for,
        ),
        crate::trial(
            "cloud::a_restore_killed_anywhere_is_gone_on_with",
            a_restore_killed_anywhere_is_gone_on_with,
        ),
        crate::trial(
            "cloud::wishes_beyond_aws_backup_are_refused",
            wishes_beyond_aws_backup_are_refused,
        ),
        crate::trial("cloud::names_fit_at_their_longest", names_fit_at_their_longest),
        crate::trial("cloud::dev_apply_killed_anywhere", || {
            let start = stage().snapshot();
            exhaust(&scenario("apply of dev", start, request(&example("dev"))), None).unwrap();
        }),
        crate::trial("cloud::dev_destroy_killed_anywhere", || {
            let stage = stage();
            stage.settle(&request(&example("dev")), &nothing).unwrap();
            stage.clock.advance(LAG.window);
            let start = stage.snapshot();
            exhaust(
                &scenario("destroy of dev", start, PlanRequest::destroy(set("dev"))),
                None,
            )
            .unwrap();
        }),
    ]
}

const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

fn example(environment: &str) -> PlatformConfig {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/config/cloud/{environment}.yaml"));
    PlatformConfig::load(file).unwrap()
}

fn place() -> Place {
    Place::aws("eu-west-1").unwrap()
}

fn set(environment: &str) -> SetId {
    SetId::of("ml-platform", environment, "")
}

fn stage() -> Stage {
    stage_of("dev")
}

fn stage_of(environment: &str) -> Stage {
    stage_with(set(environment), &format!("ml-platform-{environment}"))
}

fn stage_with(set: SetId, cluster: &str) -> Stage {
    let cluster = format!("{}:eks.Cluster/{cluster}", place()).parse().unwrap();
    Stage::of(place(), provider_aws_network::facts, set)
        .beside(second(), provider_aws_network::facts)
        .around(Place::kubernetes("main").unwrap(), cluster, provider_k8s::facts)
}

/// Where prod's backups are copied to.
fn second() -> Place {
    Place::aws("eu-central-1").unwrap()
}

fn platform(config: &PlatformConfig) -> Platform {
    let stage = stage();
    let second = stage.second.clone().unwrap();
    let stack =
        Aws::on(Arc::new(stage.world.clone()), Arc::new(stage.clock.clone())).with_second_region(Arc::new(second));
    let inside = Eks::by(&stack, Arc::new(Nowhere)).unwrap();
    let builder = Platform::builder(config.clone()).provider(stack).provider(inside);
    builder.build().unwrap()
}

/// The stage connects by itself.
#[derive(Debug)]
struct Nowhere;

#[async_trait::async_trait]
impl Connect for Nowhere {
    async fn connect(&self, _outputs: &BTreeMap<String, Value>) -> platform_core::Result<Arc<dyn Provider>> {
        unreachable!("nothing is planned here")
    }
}

fn request(config: &PlatformConfig) -> PlanRequest {
    platform(config).request().unwrap()
}

fn scenario(name: &'static str, start: Vec<u8>, request: PlanRequest) -> Scenario {
    Scenario {
        name,
        stage,
        start,
        request,
        consent: nothing,
        changes: |_| false,
    }
}

/// One after the other, each with its cluster; what is kept is taken over again.
fn environments_come_and_go() {
    for environment in ENVIRONMENTS {
        let stage = stage_of(environment);
        let wanted = request(&example(environment));
        assert_eq!(wanted.set, set(environment));
        stage.settle(&wanted, &nothing).unwrap();
        stage.clock.advance(LAG.window);
        let again = stage.plan(&wanted).unwrap();
        assert!(again.is_empty(), "{}", again.display());
        let inside = &stage.inside.as_ref().unwrap().world;
        assert!(inside.ids().len() > 40, "{:?}", inside.ids());

        let gone = PlanRequest::destroy(set(environment));
        let plan = stage.plan(&gone).unwrap();
        let released = plan.steps.iter().filter(|step| step.action == Action::Release).count();
        assert!(released > 2, "what holds data stays: {}", plan.display());
        let report = stage.settle(&gone, &nothing).unwrap();
        assert!(report.left.iter().all(|live| live.owner == Owner::Retained));
        stage.clock.advance(LAG.window);
        // What was kept is taken over again without being asked about.
        let back = stage.plan(&wanted).unwrap();
        let adopted = back.steps.iter().filter(|step| step.action == Action::Adopt).count();
        assert_eq!(adopted, released, "{}", back.display());
    }
}

fn rights_are_told_for_account_and_cluster() {
    let config = example("dev");
    let plan = stage().plan(&request(&config)).unwrap();
    let rights = platform(&config).rights(&plan);
    let of = |key: &str, value: &str| rights.iter().filter(|document| document[key] == value).count();
    assert_eq!(of("kind", "ClusterRole"), 1);
    assert!(of("Version", "2012-10-17") > 2);
    let all = serde_json::to_string(&rights).unwrap();
    for right in [
        "rds:CreateDBInstance",
        "eks:CreateCluster",
        "backup:CreateBackupVault",
        "\"namespaces\"",
    ] {
        assert!(all.contains(right), "{right}");
    }
}

/// An example with nothing on Kubernetes.
fn without_cluster(environment: &str) -> PlatformConfig {
    let mut config = example(environment).to_json();
    config["aws"].as_object_mut().unwrap().remove("cluster");
    config["placement"] = json!({});
    for key in ["memory", "storage"] {
        config["monitoring"].as_object_mut().unwrap().remove(key);
    }
    PlatformConfig::parse(&config.to_string(), "alone.yaml").unwrap()
}

/// Two environments of one account keep apart.
fn environments_keep_apart() {
    let stage =
        Stage::of(place(), provider_aws_network::facts, set("dev")).beside(second(), provider_aws_network::facts);
    let alone = |environment: &str| request(&without_cluster(environment));
    for environment in ENVIRONMENTS {
        stage.settle(&alone(environment), &nothing).unwrap();
        stage.clock.advance(LAG.window);
    }
    stage.settle(&PlanRequest::destroy(set("prod")), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    for environment in ["dev", "staging"] {
        let others = stage.plan(&alone(environment)).unwrap();
        assert!(others.is_empty(), "{}", others.display());
    }
}

/// Its service account has a role, its pods may reach what they need, and it knows the region.
fn grafana_shows_cloudwatch_by_a_role() {
    let wanted = request(&example("dev"));
    let of = |id: &str| -> &Value {
        let found = wanted.resources.iter().find(|resource| resource.id.to_string() == id);
        &found.unwrap_or_else(|| panic!("no {id}")).desired
    };
    let pod = of("aws/eu-west-1:eks.PodIdentityAssociation/ml-platform-dev/monitoring/prometheus-grafana");
    let role = "ml-platform-dev-metrics-reader";
    assert!(pod["role"].as_str().unwrap().ends_with(role), "{pod}");
    let inline = of(&format!("aws/eu-west-1:iam.Role/{role}"))["inline"].to_string();
    assert!(
        inline.contains("cloudwatch:GetMetricData") && !inline.contains("Put"),
        "{inline}"
    );
    let config = of("k8s/main:ConfigMap/monitoring/prometheus-grafana-config");
    let sources = config["data"]["datasources.yaml"].as_str().unwrap();
    assert!(
        sources.contains("cloudwatch") && sources.contains("eu-west-1"),
        "{sources}"
    );
    let egress =
        of("k8s/main:NetworkPolicy.networking.k8s.io/monitoring/prometheus-grafana")["spec"]["egress"].to_string();
    assert!(egress.contains("443") && egress.contains("\"port\":80"), "{egress}");
    let pods = of("k8s/main:Deployment.apps/monitoring/prometheus-grafana");
    assert_eq!(
        pods["spec"]["template"]["spec"]["serviceAccountName"],
        "prometheus-grafana"
    );
}

/// A network with each number of NAT gateways: a second plan is empty, a zone more moves nothing, and a destroy leaves nothing
/// of it. Without its kinds it is refused with what to do.
fn a_network_comes_and_goes() {
    let with = |create: Value| {
        let mut config = example("dev").to_json();
        config["aws"]["network"] = json!({ "create": create });
        PlatformConfig::parse(&config.to_string(), "dev.yaml").unwrap()
    };
    for (nat, gateways, endpoints) in [("none", 0, 12), ("single", 1, 1), ("per_zone", 2, 1)] {
        let stage = stage();
        let two = request(&with(json!({ "zones": ["a", "b"], "nat": nat })));
        let count = |kind: &str| {
            two.resources
                .iter()
                .filter(|one| one.id.kind().as_str() == kind)
                .count()
        };
        assert_eq!((count("ec2.NatGateway"), count("ec2.ElasticIp")), (gateways, gateways));
        assert_eq!((count("ec2.VpcEndpoint"), count("ec2.Subnet")), (endpoints, 4));
        stage.settle(&two, &nothing).unwrap();
        stage.clock.advance(LAG.window);
        let again = stage.plan(&two).unwrap();
        assert!(again.is_empty(), "{}", again.display());

        let more = stage
            .plan(&request(&with(json!({ "zones": ["a", "b", "c"], "nat": nat }))))
            .unwrap();
        let moved = |id: &ResourceId| ["ec2.Vpc", "ec2.Subnet", "ec2.NatGateway"].contains(&id.kind().as_str());
        for step in more.changes().filter(|step| moved(&step.id)) {
            assert_eq!(step.action, Action::Create, "{}", more.display());
        }
        assert!(more.changes().all(|step| step.blocked.is_none()), "{}", more.display());

        let report = stage.settle(&PlanRequest::destroy(set("dev")), &nothing).unwrap();
        let left = report
            .left
            .iter()
            .filter(|live| live.id.kind().as_str().starts_with("ec2."));
        assert_eq!(left.count(), 0, "{:?}", report.left);
    }

    let stage = Stage::of(place(), provider_aws::facts, set("dev"));
    let stack = Aws::on(Arc::new(stage.world.clone()), Arc::new(stage.clock.clone()));
    let platform = Platform::builder(without_cluster("dev")).provider(stack).build();
    let refused = platform.and_then(|platform| platform.request()).unwrap_err();
    assert!(
        refused.report().contains("provider-aws-network"),
        "{}",
        refused.report()
    );
}

/// Every dimension of every alarm names an object of the platform, and every server and bucket has an alarm.
fn alarms_are_about_what_is_there() {
    let mut config = example("prod").to_json();
    config["cache"]["replicas"] = 1.into();
    let wanted = request(&PlatformConfig::parse(&config.to_string(), "prod.yaml").unwrap());
    let names = |kind: &str| -> BTreeSet<String> {
        let all = wanted
            .resources
            .iter()
            .filter(|resource| resource.id.kind().as_str() == kind);
        all.map(|resource| resource.id.name().to_string()).collect()
    };
    let mut buckets = names("s3.Bucket");
    buckets.retain(|name| !name.contains("access-logs"));
    let mut vaults = names("backup.Vault");
    vaults.retain(|name| name == "ml-platform-prod");
    let groups = names("elasticache.ReplicationGroup");
    let nodes = groups
        .iter()
        .flat_map(|group| [1, 2].map(|n| format!("{group}-00{n}")))
        .collect();
    let there = BTreeMap::from([
        ("DBInstanceIdentifier", names("rds.DbInstance")),
        ("CacheClusterId", nodes),
        ("BucketName", buckets),
        ("BackupVaultName", vaults),
    ]);
    let mut told: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for resource in wanted
        .resources
        .iter()
        .filter(|one| one.id.kind().as_str() == "cloudwatch.Alarm")
    {
        dimensions(&resource.desired, &mut |key, value| {
            if let Some((key, _)) = there.get_key_value(key) {
                told.entry(key).or_default().insert(value.to_owned());
            }
        });
    }
    assert_eq!(told, there);
}

fn dimensions(value: &Value, on: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                match child.as_object().filter(|_| key == "dimensions") {
                    Some(dimensions) => dimensions
                        .iter()
                        .for_each(|(key, name)| on(key, name.as_str().unwrap())),
                    None => dimensions(child, on),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| dimensions(item, on)),
        _ => {}
    }
}

/// Everything that holds data is in a plan, by the rules of the environment; a copy of production is in another region.
fn backups_are_of_all_that_holds_data() {
    for (environment, cron, days) in [
        ("dev", "cron(0 2 ? * 1 *)", 8),
        ("staging", "cron(0 2 * * ? *)", 7),
        ("prod", "cron(0 2 * * ? *)", 30),
    ] {
        let wanted = request(&example(environment));
        let of = |kind: &str, place: &Place| -> Vec<&Resource> {
            let all = wanted.resources.iter();
            all.filter(|one| one.id.kind().as_str() == kind && one.id.place() == place)
                .collect()
        };
        let plans = of("backup.Plan", &place());
        assert_eq!(plans.len(), 1);
        let (plan, vault) = (&plans[0].desired, of("backup.Vault", &place())[0]);
        let rule = &plan["rules"]["scheduled"];
        assert_eq!(
            (&rule["schedule"], &rule["delete_after_days"]),
            (&cron.into(), &days.into())
        );
        assert_eq!(rule["vault"], vault.id.name().as_str());
        let mut chosen: BTreeSet<&str> = plan["selections"]["platform"]["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arn| arn.as_str().unwrap().rsplit(':').next().unwrap())
            .collect();
        for held in ["rds.DbInstance", "s3.Bucket"] {
            for one in of(held, &place()) {
                let name = one.id.name().as_str();
                assert_eq!(chosen.remove(name), !name.contains("access-logs"), "{name}");
                assert_eq!(plans[0].after.contains(&one.id), !name.contains("access-logs"));
            }
        }
        assert!(chosen.is_empty(), "{chosen:?}");
        let copies = of("backup.Vault", &second());
        let prod = environment == "prod";
        assert_eq!(copies.len(), usize::from(prod));
        assert_eq!(rule["copies"].as_object().unwrap().len(), copies.len());
        for vault in copies.iter().chain([&vault]) {
            assert_eq!(vault.desired.get("lock").is_some(), prod, "{}", vault.id);
            assert_eq!(vault.on_removal, OnRemoval::Retain);
        }
        if prod {
            let arn = "arn:aws:backup:eu-central-1:333333333333:backup-vault:ml-platform-prod";
            assert_eq!(rule["copies"][arn]["delete_after_days"], days);
        }
    }
}

/// What the config says of a copy reaches the server, once: a second plan is empty. A copy from elsewhere is refused at its line.
fn a_database_starts_from_a_copy() {
    let with = |source: &Value| {
        let mut text = without_cluster("dev").to_json();
        text["database"]["restore_from"] = source.clone();
        PlatformConfig::parse(&text.to_string(), "dev.yaml").unwrap_or_else(|why| panic!("{why}"))
    };
    let arn = |account: &str| format!("arn:aws:rds:eu-west-1:{account}:snapshot:awsbackup:job-1");
    let moment = "2026-11-29T02:00:00Z";
    for (source, restore) in [
        (json!({"snapshot": "kept"}), json!({"snapshot": "kept"})),
        (
            json!({"snapshot": arn("111111111111")}),
            json!({"snapshot": "awsbackup:job-1"}),
        ),
        (
            json!({"point_in_time": {"of": "db-ABC"}}),
            json!({"source": "db-ABC", "time": "latest"}),
        ),
        (
            json!({"point_in_time": {"of": "other", "at": moment}}),
            json!({"source": "other", "time": moment}),
        ),
    ] {
        let stage = stage();
        let wanted = request(&with(&source));
        let server = wanted
            .resources
            .iter()
            .find(|one| one.id.kind().as_str() == "rds.DbInstance");
        assert_eq!(server.unwrap().desired["restore"], restore);
        stage.settle(&wanted, &nothing).unwrap();
        stage.clock.advance(LAG.window);
        let again = stage.plan(&wanted).unwrap();
        assert!(again.is_empty(), "{}", again.display());
    }
    let foreign = platform(&with(&json!({"snapshot": arn("222222222222")})));
    let why = foreign.request().unwrap_err().report();
    assert!(
        why.contains("dev.yaml:1:") && why.contains("copy-db-snapshot"),
        "located, with what to do: {why}"
    );
}

/// A backup by hand is listed with what the environment expects of it, and stays when its run has gone.
fn a_backup_by_hand_is_listed() {
    let stage = stage();
    // Without what lies in a cluster: backups are of what AWS holds.
    let mut text = example("dev").to_json();
    for key in ["monitoring", "placement"] {
        text.as_object_mut().unwrap().remove(key);
    }
    text["aws"].as_object_mut().unwrap().remove("cluster");
    let config = PlatformConfig::parse(&text.to_string(), "dev.yaml").unwrap_or_else(|why| panic!("{why}"));
    let stack = Aws::on(Arc::new(stage.world.clone()), Arc::new(stage.clock.clone()));
    let platform = Platform::builder(config).provider(stack).build().unwrap();
    let backups = platform.backups().unwrap().unwrap();
    let drive = |future| stage.clock.drive(future).done().expect("stalled");
    let before = drive(backups.status()).unwrap();
    assert!(
        before.problems.iter().any(|what| what.contains("no vault")),
        "{before:?}"
    );
    stage.settle(&platform.request().unwrap(), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    let taken = stage.clock.drive(backups.run(|_| {})).done().expect("stalled").unwrap();
    stage.clock.advance(LAG.window);
    let status = drive(backups.status()).unwrap();
    assert_eq!(status.backups, [taken]);
    assert_eq!(status.problems, Vec::<String>::new());
    let points = stage
        .world
        .ids()
        .into_iter()
        .filter(|id| id.kind().as_str() == "backup.RecoveryPoint");
    assert_eq!(points.count(), 3, "the server and both buckets");
    let again = stage.plan(&platform.request().unwrap()).unwrap();
    assert!(again.is_empty(), "none of it is the platform's: {}", again.display());
}

/// Dev with nothing in a cluster, as a process of this name sees it through these faults.
fn process(stage: &Stage, faults: &Faults, name: &str) -> Platform {
    let clock: Arc<dyn Clock> = Arc::new(stage.clock.clone());
    let provider = faults.around(Arc::new(stage.world.clone()), Arc::clone(&clock));
    let builder = Platform::builder(without_cluster("dev")).provider(Aws::on(provider, clock));
    builder.holder(name).build().unwrap()
}

/// A world on which dev stands and was backed up by hand; the backup's name.
fn backed_up() -> (Stage, String) {
    let stage = stage();
    let platform = process(&stage, &Faults::none(), "first");
    stage.settle(&platform.request().unwrap(), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    let backups = platform.backups().unwrap().unwrap();
    let taken = stage.clock.drive(backups.run(|_| {})).done().expect("stalled").unwrap();
    stage.clock.advance(Duration::from_hours(3));
    (stage, taken.name)
}

/// Runs a verb, killed before and after each of its calls; after each kill another process runs it again.
fn killed_anywhere<T>(stage: &Stage, verb: impl AsyncFn(Backups) -> platform_core::Result<T>, holds: impl Fn(T, &str)) {
    let start = stage.world.snapshot().unwrap();
    let whole = Faults::none();
    let backups = |faults: &Faults, name: &str| process(stage, faults, name).backups().unwrap().unwrap();
    let done = stage.clock.drive(verb(backups(&whole, "undisturbed"))).done();
    holds(done.expect("stalled").unwrap(), "undisturbed");
    let calls = whole.calls();
    assert!(calls > 20, "{calls}");
    for n in 1..=calls {
        for side in [Side::Before, Side::After] {
            let told = format!("{side:?} call {n} of {calls}");
            stage.world.restore(&start).unwrap();
            let faults = Faults::none().kill_at(n, side);
            let killed = stage
                .clock
                .drive_until(verb(backups(&faults, "victim")), || faults.is_dead());
            assert!(killed.done().is_none(), "{told} did not kill");
            stage.clock.advance(LAG.window);
            let next = stage.clock.drive(verb(backups(&Faults::none(), "next"))).done();
            let next = next.expect("stalled");
            holds(next.unwrap_or_else(|why| panic!("{told}: {}", why.report())), &told);
        }
    }
    println!("killed before and after each of {calls} calls");
}

/// A drill restores the server beside the platform's, leaves its proof and nothing else.
fn a_drill_killed_anywhere_is_made_up_for() {
    let (stage, taken) = backed_up();
    let before = stage.world.ids();
    let unproved = process(&stage, &Faults::none(), "before").backups().unwrap().unwrap();
    let status = stage.clock.drive(unproved.status()).done().expect("stalled").unwrap();
    assert!(status.last_proof().is_none());
    killed_anywhere(
        &stage,
        async |backups| backups.drill(None, |_| {}).await,
        |proof, told| {
            assert_eq!(
                (proof.backup.as_str(), proof.checks.len()),
                (taken.as_str(), 1),
                "{told}"
            );
            assert!(proof.checks[0].contains("rows were not looked at"), "{proof:?}");
            assert!(proof.recovery_point() >= Duration::from_hours(3), "{proof:?}");
            assert!(proof.recovery_time() > Duration::ZERO, "{proof:?}");
            stage.clock.advance(LAG.window);
            let left: Vec<_> = stage.world.ids().difference(&before).map(ToString::to_string).collect();
            let of_it = format!("aws/eu-west-1:backup.RestoreProof/ml-platform-dev/{taken}-");
            // The killed one may have got as far.
            assert!((1..=2).contains(&left.len()), "{told}: {left:?}");
            assert!(left.iter().all(|id| id.starts_with(&of_it)), "{told}: {left:?}");
            let platform = process(&stage, &Faults::none(), "after");
            let backups = platform.backups().unwrap().unwrap();
            let status = stage.clock.drive(backups.status()).done().expect("stalled").unwrap();
            assert_eq!(status.last_proof(), Some(&proof), "{told}");
            let again = stage.plan(&platform.request().unwrap()).unwrap();
            assert!(again.is_empty(), "{told}: {}", again.display());
        },
    );
}

/// A server and a bucket that are gone are made again by a plan of the platform, the server from the backup; objects are put
/// back into both buckets. What stands is left alone.
fn a_restore_killed_anywhere_is_gone_on_with() {
    let (stage, taken) = backed_up();
    let all = process(&stage, &Faults::none(), "before");
    let backups = all.backups().unwrap().unwrap();
    let remaking = |backups: &Backups| {
        stage
            .clock
            .drive(backups.remaking(&taken))
            .done()
            .expect("stalled")
            .unwrap()
    };
    assert!(remaking(&backups).is_none(), "everything stands");
    let run = stage
        .clock
        .drive(backups.restore(&taken, |_| {}))
        .done()
        .expect("stalled")
        .unwrap();
    assert_eq!(run.left, ["rds.DbInstance ml-platform-dev"]);
    stage.clock.advance(LAG.window);

    let server: ResourceId = "aws/eu-west-1:rds.DbInstance/ml-platform-dev".parse().unwrap();
    let bucket = stage.world.ids().into_iter().find(|id| {
        let name = id.name().as_str();
        id.kind().as_str() == "s3.Bucket" && !name.contains("access-logs") && !name.starts_with("mlplat")
    });
    let bucket = bucket.unwrap();
    let point = stage
        .world
        .ids()
        .into_iter()
        .find(|id| id.name().as_str().contains("/rds/"));
    let point = format!("arn-{}", stage.world.uid(&point.unwrap()).unwrap());
    for id in [&server, &bucket] {
        assert!(stage.world.remove(id));
    }
    stage.clock.advance(LAG.window);
    let plan = remaking(&backups).unwrap();
    let made: Vec<_> = plan.changes().map(|step| (step.action, &step.id)).collect();
    assert_eq!(
        made,
        [(Action::Create, &server), (Action::Create, &bucket)],
        "{}",
        plan.display()
    );
    let mut text = without_cluster("dev").to_json();
    text["database"]["restore_from"] = json!({ "snapshot": point });
    let wanted = PlatformConfig::parse(&text.to_string(), "dev.yaml").unwrap();
    let jobs = |stage: &Stage| {
        let ids = stage.world.ids().into_iter();
        let jobs = ids.filter(|id| id.kind().as_str() == "backup.RestoreJob" && stage.world.is_ready(id));
        let into: BTreeSet<String> = jobs
            .map(|id| id.name().as_str().rsplit('/').next().unwrap().to_owned())
            .collect();
        into.len()
    };
    killed_anywhere(
        &stage,
        async |backups| backups.restore(&taken, |_| {}).await,
        |run, told| {
            assert_eq!(run.name, taken);
            assert!(stage.world.is_ready(&server) && stage.world.is_ready(&bucket), "{told}");
            assert_eq!(jobs(&stage), 2, "{told}: one into each bucket");
            stage.clock.advance(LAG.window);
            let again = stage.plan(&request(&wanted)).unwrap();
            assert!(again.is_empty(), "{told}: {}", again.display());
        },
    );
}

/// What AWS Backup cannot do is refused before any call.
fn wishes_beyond_aws_backup_are_refused() {
    for (change, words) in [
        (json!({"backup": {"schedule": "*/30 * * * *"}}), "a backup an hour"),
        (json!({"backup": {"schedule": "0 2 1 * 1"}}), "takes only one"),
        (json!({"backup": {"copy_to": "us-east-1"}}), "second connection goes"),
        (
            json!({"storage": {"buckets": [{"name": "plain", "versioning": false}]}}),
            "keeps no versions",
        ),
        (json!({"backup": {"scope": ["cache"]}}), "takes nothing"),
    ] {
        let mut text = example("prod").to_json();
        for (block, keys) in change.as_object().unwrap() {
            for (key, value) in keys.as_object().unwrap() {
                text[block][key] = value.clone();
            }
        }
        let config = PlatformConfig::parse(&text.to_string(), "prod.yaml").unwrap_or_else(|why| panic!("{why}"));
        let why = platform(&config).request().unwrap_err().report();
        assert!(why.contains(words), "{why}");
    }
}

/// Every name is legal at the longest name of a platform, its longest bucket and the longest region.
fn names_fit_at_their_longest() {
    for environment in ENVIRONMENTS {
        let mut text = example(environment).to_json();
        let name = "n".repeat(39 - environment.len());
        text["name"] = name.clone().into();
        let longest = "b".repeat(63 - 2 - environment.len() - name.len());
        text["storage"]["buckets"] = json!([{ "name": longest, "versioning": true }, { "name": format!("{}c", &longest[1..]), "versioning": true }]);
        let config = PlatformConfig::parse(&text.to_string(), "longest.yaml").unwrap();
        let wanted = request(&config);
        let stage = stage_with(set(environment), &format!("{name}-{environment}"));
        let plan = stage.plan(&wanted).unwrap();
        let blocked: Vec<_> = plan.steps.iter().filter_map(|step| step.blocked.as_ref()).collect();
        assert!(blocked.is_empty(), "{blocked:?}");
        assert_eq!(plan.steps.len(), wanted.resources.len());
        for resource in &wanted.resources {
            provider_aws_network::facts(resource.id.kind())
                .or_else(|| provider_k8s::facts(resource.id.kind()))
                .unwrap()
                .name
                .check(&resource.id)
                .unwrap();
        }
    }
}
