//! The environments of the examples, whole, on the emulators: brought up, planned again, destroyed, and killed on the way. What
//! runs in their cluster lies in a world of its own; what is left in the account is told by AWS's own client.

use crate::emulators::Account;
use crate::existing;
use crate::late::Late;
use crate::platform::everything;
use crate::recorded::{MARK, Marks, Recorder, judge};
use aws_sdk_ec2::types::{Filter, TagDescription};
use composition::aws::Aws;
use composition::config::PlatformConfig;
use composition::{Eks, Platform};
use futures::FutureExt;
use futures::future::select_all;
use platform_core::engine::{Approvals, Plan, Report};
use platform_core::testing::World;
use platform_core::value::{Place, ResourceId};
use platform_core::{Connect, Provider};
use provider_aws::kind::EKS_CLUSTER;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xtask::peer::Python;
use xtask::proxy::{Call, Fault, Rule};

/// Reads that a plan of what stands may take, and those that a second region adds.
const BUDGET: usize = 200;
const SECOND: usize = 55;

/// An account with the wishes of an environment.
pub(crate) struct Environment {
    pub(crate) account: Account,
    pub(crate) config: PlatformConfig,
    /// What runs in its cluster.
    inside: World,
    /// What lets describes be late.
    late: Option<Late>,
}

/// The way into the cluster.
#[derive(Debug)]
struct Inside(World);

#[async_trait::async_trait]
impl Connect for Inside {
    async fn connect(&self, _outputs: &BTreeMap<String, Value>) -> platform_core::Result<Arc<dyn Provider>> {
        Ok(Arc::new(self.0.clone()))
    }
}

impl Environment {
    /// Time runs this much faster than on the wall.
    pub(crate) async fn of(environment: &str, speed: u32) -> Self {
        let account = Account::new().with_speed(speed).whole().await;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/config/cloud/{environment}.yaml"));
        let mut config = PlatformConfig::load(file).unwrap().to_json();
        let name = format!("e{}", account.id);
        account.log_group_of_flows(&format!("/{name}-{environment}/vpc-flows"));
        config["name"] = json!(name);
        config["aws"]["account"] = json!(account.id);
        if !config["aws"]["network"]["existing"].is_null() {
            config["aws"]["network"]["existing"] = existing::network(&account).await;
        }
        let place = Place::kubernetes("main").unwrap();
        Self {
            config: PlatformConfig::parse(&config.to_string(), "environment.yaml").unwrap(),
            inside: World::new(place, provider_k8s::facts, Arc::clone(&account.clock)),
            late: None,
            account,
        }
    }

    /// The platform as a process of this name sees it.
    pub(crate) fn platform(&self, holder: &str) -> Platform {
        self.platform_of(&self.config, holder)
    }

    /// The same by another config.
    fn platform_of(&self, config: &PlatformConfig, holder: &str) -> Platform {
        let clock = Arc::clone(&self.account.clock);
        let provider = match &self.late {
            Some(late) => self.account.provider_by(&late.over(&self.account.config())),
            None => self.account.provider(),
        };
        let provider = provider.with_lookup(provider_aws_network::lookup());
        let mut aws = Aws::on(Arc::new(provider), Arc::clone(&clock));
        if let Some(region) = config.backup.as_ref().and_then(|block| block.second_region()) {
            aws = aws.with_second_region(Arc::new(self.account.provider_in(region)));
        }
        let eks = Eks::by(&aws, Arc::new(Inside(self.inside.clone()))).unwrap();
        let builder = Platform::builder(config.clone()).provider(aws).provider(eks);
        let builder = builder.clock(clock).holder(holder).lease_ttl(Duration::from_secs(30));
        builder.build().unwrap()
    }

    /// Whether the account holds these of the platform, each once, and nothing else.
    fn holds<'a>(&self, ids: impl Iterator<Item = &'a ResourceId>) {
        let (kinds, there) = self.inventory();
        let here = format!("aws/{}", self.account.region);
        let ours = ids.filter(|id| id.place().as_ref() == here && kinds.contains(id.kind().as_str()));
        let mut wanted: Vec<String> = ours.map(|id| format!("{} {}", id.kind(), id.name())).collect();
        wanted.sort();
        let missing: Vec<&String> = wanted.iter().filter(|one| !there.contains(one)).collect();
        let mut more = there.clone();
        for one in &wanted {
            if let Some(at) = more.iter().position(|name| name == one) {
                more.remove(at);
            }
        }
        assert!(
            missing.is_empty() && more.is_empty(),
            "missing {missing:?}, strays {more:?}"
        );
    }

    /// Kinds that are looked at, and `kind name` of all that the account holds of the platform.
    fn inventory(&self) -> (BTreeSet<String>, Vec<String>) {
        let ask = json!({"endpoints": self.account.endpoints(), "account": self.account.id, "region": self.account.region,
            "name": self.config.name});
        let found = Python::Aws.ask(include_str!("inventory.py"), &ask).unwrap();
        let found: BTreeMap<String, Vec<String>> = serde_json::from_value(found).unwrap();
        let there = found
            .iter()
            .flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind} {name}")));
        let there = there.collect();
        (found.into_keys().collect(), there)
    }

    /// Kills a run of `plan` at a write to any of the services, before or after the service has seen it; whether it got that far.
    async fn killed<F>(&self, step: Step, after: bool, plan: impl Fn(Arc<Platform>) -> F) -> bool
    where
        F: Future<Output = platform_core::Result<Plan>> + Send + 'static,
    {
        let fault = || if after { Fault::StopAfter } else { Fault::StopBefore };
        let proxies = self.account.proxies();
        for proxy in proxies {
            let rule = Rule::new(fault()).writes();
            proxy.set_rules([match step {
                Step::Write(nth) => rule.nth(nth),
                // Whoever comes next takes the lease first.
                Step::OfObject(nth) => rule.but("/leases/").nth(nth),
            }]);
        }
        let platform = Arc::new(self.platform("killed"));
        let plan = plan(Arc::clone(&platform));
        let run = tokio::spawn(async move { apply(&platform, &plan.await.unwrap()).await });
        let handle = run.abort_handle();
        let stops = proxies.map(|proxy| Box::pin(proxy.stopped()));
        let killed = tokio::select! {
            _ = select_all(stops) => {
                handle.abort();
                true
            }
            outcome = run => {
                outcome.unwrap();
                false
            }
        };
        for proxy in proxies {
            proxy.set_rules([]);
            while proxy.stopped().now_or_never().is_some() {}
        }
        killed
    }
}

/// Applies with every approval that a plan offers: what holds data is deleted.
async fn apply(platform: &Platform, plan: &Plan) -> Report {
    finished(platform.apply(plan, &everything(plan), |_| {}).await)
}

fn finished(report: platform_core::Result<Report>) -> Report {
    let report = report.unwrap_or_else(|why| panic!("{}", why.report()));
    let failures = report.failures().map(|(id, why)| format!("{id}: {}", why.report()));
    let failures: Vec<String> = failures.collect();
    assert!(report.is_success(), "{}", failures.join("\n"));
    report
}

/// Tags of EC2's objects: those of the set, and of what EKS made.
async fn marks(account: &Account, set: &str) -> Marks {
    let filter = Filter::builder().name("key").values(MARK).values(EKS_CLUSTER).build();
    let tags = account.ec2_client().describe_tags().filters(filter);
    let tags: Vec<_> = tags.into_paginator().items().send().try_collect().await.unwrap();
    let whole = |tag: TagDescription| Some((tag.resource_id?, (tag.key?, tag.value?)));
    let marks = tags.into_iter().filter_map(whole);
    marks.filter(|(_, (key, value))| key != MARK || value == set).collect()
}

/// A config with other values in every block.
fn changed(config: &PlatformConfig) -> PlatformConfig {
    let mut config = config.to_json();
    for (at, value) in [
        ("/tags", json!({"team": "ml"})),
        ("/placement/security", json!(["aws", "kubernetes"])),
        (
            "/security/applications",
            json!([{"name": "training", "uses": ["database", "cache"]}]),
        ),
        ("/database/storage", json!("120Gi")),
        ("/database/deletion_protection", json!(false)),
        ("/aws/cluster/create/deletion_protection", json!(false)),
        ("/database/max_connections", json!(300)),
        ("/cache/replicas", json!(2)),
        ("/storage/buckets/0/expire_noncurrent", json!("60d")),
        ("/storage/request_metrics", json!(false)),
        ("/monitoring/alerts/connections", json!("70%")),
        ("/backup/retention", json!("40d")),
        ("/backup/schedule", json!("30 3 * * 0")),
    ] {
        let (block, key) = at.rsplit_once('/').unwrap();
        config.pointer_mut(block).unwrap()[key] = value;
    }
    PlatformConfig::parse(&config.to_string(), "changed.yaml").unwrap()
}

/// Brought up and planned again, changed in place, and gone; before that but for its data, and back, where it `keeps`.
async fn comes_and_goes(name: &str, keeps: bool) {
    let mut environment = Environment::of(name, 4).await;
    environment.account.recorder = Some(Recorder::new());
    let account = &environment.account;
    let platform = environment.platform("a");
    let began = Instant::now();
    let first = platform.plan().await.unwrap();
    let planned = (began.elapsed(), account.requests());
    account.forget();
    let began = Instant::now();
    apply(&platform, &first).await;
    let applied = (began.elapsed(), account.requests());
    environment.holds(first.request.resources.iter().map(|resource| &resource.id));
    let set = platform.set().as_str();
    let marked = marks(account, set).await;
    // What a recorded run asked of IAM, beside the policies that its plan emits.
    let asked = |run: &str, plan: &Plan, marked: &Marks| {
        let calls = account.recorder.as_ref().unwrap().take(&account.id, set, marked);
        let rights = platform.rights(plan);
        let policies: Vec<&Value> = rights.iter().filter(|one| one["Version"].is_string()).collect();
        json!({"run": run, "policies": policies, "calls": calls})
    };
    let mut runs = vec![asked("apply", &first, &marked)];

    account.forget();
    let began = Instant::now();
    let again = platform.plan().await.unwrap();
    let (took, reads) = (began.elapsed(), account.requests());
    assert!(again.is_empty(), "{}", again.display());
    let second = environment
        .config
        .backup
        .as_ref()
        .and_then(|block| block.second_region());
    let budget = BUDGET + second.map_or(0, |_| SECOND);
    assert!(reads <= budget, "{reads}: {:#?}", account.operations());
    runs.push(asked("plan", &again, &marked));
    account.forget();
    apply(&platform, &again).await;
    assert!(
        account
            .proxies()
            .iter()
            .all(|proxy| !proxy.calls().iter().any(Call::writes))
    );

    // A static parameter waits for a restart, which is a plan of its own.
    let platform = environment.platform_of(&changed(&environment.config), "a");
    let change = platform.plan().await.unwrap();
    assert!(
        change.counts().blocked == 0 && change.counts().change > 20,
        "{}",
        change.display()
    );
    apply(&platform, &change).await;
    let restart = platform.plan().await.unwrap();
    assert!(restart.counts().change <= 1, "{}", restart.display());
    apply(&platform, &restart).await;
    let settled = platform.plan().await.unwrap();
    assert!(settled.is_empty(), "{}", settled.display());
    environment.holds(change.request.resources.iter().map(|resource| &resource.id));
    let marked = marks(account, set).await;
    runs.push(asked("change", &change, &marked));

    if keeps {
        // Without an approval the data stays, with all that it cannot be without, and nothing is refused.
        let keeping = platform.destroy_plan().await.unwrap();
        assert!(keeping.counts().kept > 10, "{}", keeping.display());
        let report = finished(platform.apply(&keeping, &Approvals::none(), |_| {}).await);
        environment.holds(report.left.iter().map(|live| &live.id));
        runs.push(asked("destroy that keeps", &keeping, &marked));
        let settled = platform.destroy_plan().await.unwrap();
        assert!(settled.is_empty(), "{}", settled.display());
        // Asked for again, it is taken over.
        let back = platform.plan().await.unwrap();
        assert!(back.counts().blocked == 0, "{}", back.display());
        apply(&platform, &back).await;
        environment.holds(change.request.resources.iter().map(|resource| &resource.id));
        let marked = marks(account, set).await;
        runs.push(asked("back", &back, &marked));
    }
    let began = Instant::now();
    let marked = marks(account, set).await;
    let gone = platform.destroy_plan().await.unwrap();
    let report = apply(&platform, &gone).await;
    environment.holds(report.left.iter().map(|live| &live.id));
    runs.push(asked("destroy", &gone.under(&everything(&gone)), &marked));
    println!(
        "{name}: {} steps, plan {planned:?}, apply {applied:?}, plan again {took:?} with {reads} reads, destroy {:?}",
        first.steps.len(),
        began.elapsed()
    );
    let verdict = judge(&account.id, account.region, &runs);
    assert_eq!(verdict["wrong"], json!([]), "{verdict:#}");
    println!("{}", verdict["counts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_come_and_go() {
    for (name, keeps) in [("dev", true), ("staging", false), ("prod", false)] {
        Box::pin(comes_and_goes(name, keeps)).await;
    }
}

/// Killed again and again till it is through, an apply and then a destroy leave what an undisturbed one does.
#[tokio::test(flavor = "multi_thread")]
async fn dev_is_killed_on_its_way() {
    let mut steps = Steps::new();
    let mut environment = Environment::of("dev", if steps.each { 30 } else { 8 }).await;
    // As many as a look of a process that comes after takes.
    let late = Late::by(3);
    environment.late = Some(late.clone());
    let mut kills = 0;
    while environment
        .killed(
            steps.next(),
            kills % 2 == 1,
            |platform| async move { platform.plan().await },
        )
        .await
    {
        kills += 1;
        if kills % 100 == 0 {
            println!("killed {kills} times");
        }
    }
    let platform = environment.platform("after");
    let again = platform.plan().await.unwrap();
    assert!(again.is_empty(), "{}", again.display());
    environment.holds(again.request.resources.iter().map(|resource| &resource.id));
    let applying = kills;
    while environment
        .killed(steps.next(), kills % 2 == 1, |platform| async move {
            platform.destroy_plan().await
        })
        .await
    {
        kills += 1;
        if kills % 100 == 0 {
            println!("killed {kills} times");
        }
    }
    let gone = platform.destroy_plan().await.unwrap();
    assert!(gone.is_empty(), "{}", gone.display());
    let report = apply(&platform, &gone).await;
    environment.holds(report.left.iter().map(|live| &live.id));
    let hidden = late.hidden();
    println!(
        "apply killed {applying} times, destroy {} times; late: {hidden:?}",
        kills - applying
    );
    assert!(hidden.len() == 3, "{hidden:?}");
    assert!(applying >= 8 && kills - applying >= 3, "{applying} of {kills}");
}

/// Where a run is killed.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// At so many writes to one service.
    Write(u64),
    /// At so many that are not to the lease.
    OfObject(u64),
}

/// Where runs are killed: by a seed, or at writes to objects one by one.
struct Steps {
    seed: u64,
    each: bool,
    runs: usize,
}

/// Before and after a run's first write to an object; and its second, since two may belong together: what a first one
/// made is known by the next, or done again.
const EACH: [Step; 4] = [
    Step::OfObject(1),
    Step::OfObject(1),
    Step::OfObject(2),
    Step::OfObject(2),
];

impl Steps {
    fn new() -> Self {
        let set = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let seed = set("MLPLAT_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()));
        println!("MLPLAT_KILL_SEED={seed}");
        Self {
            seed,
            each: set("MLPLAT_KILL_EVERY") == Some(1),
            runs: 0,
        }
    }

    fn next(&mut self) -> Step {
        if self.each {
            self.runs += 1;
            return EACH[(self.runs - 1) % EACH.len()];
        }
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Step::Write(3 + (self.seed >> 33) % 8)
    }
}
