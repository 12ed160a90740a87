//! The environments of the examples on AWS, planned from their files, on the world: brought up, changed, destroyed, and killed
//! before and after every call.

mod backups;
mod keeping;
mod promotion;

use crate::crash::{Scenario, sample};
use crate::stage::{LAG, Stage, everything, nothing};
use composition::aws::Aws;
use composition::config::PlatformConfig;
use composition::{Eks, Platform};
use libtest_mimic::Trial;
use platform_core::engine::{Action, PlanRequest};
use platform_core::value::{Place, ResourceId, SetId};
use platform_core::{Connect, Owner, Provider};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    let mut all = vec![
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
        crate::trial("cloud::names_fit_at_their_longest", names_fit_at_their_longest),
        crate::trial("cloud::dev_apply_killed_anywhere", || {
            let start = stage().snapshot();
            sample(&scenario("apply of dev", start, request(&example("dev"))), 300).unwrap();
        }),
        crate::trial("cloud::dev_destroy_killed_anywhere", || {
            let stage = stage();
            stage.settle(&request(&example("dev")), &nothing).unwrap();
            stage.clock.advance(LAG.window);
            let start = stage.snapshot();
            sample(
                &scenario("destroy of dev", start, PlanRequest::destroy(set("dev"))),
                150,
            )
            .unwrap();
        }),
    ];
    all.extend(backups::trials());
    all.extend(keeping::trials());
    all.extend(promotion::trials());
    all
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

        let report = stage.settle(&PlanRequest::destroy(set("dev")), &everything).unwrap();
        let left: Vec<&ResourceId> = report.left.iter().map(|live| &live.id).collect();
        assert!(left.iter().all(|id| id.place() != &place()), "{left:?}");
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
