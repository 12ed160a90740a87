//! Platforms that start from a backup: what it holds comes back before anything is made that could hold data, once.

use crate::stage::cluster;
use composition::Platform;
use composition::config::PlatformConfig;
use composition::kubernetes::Kubernetes;
use libtest_mimic::Trial;
use platform_core::engine::{Action, Approvals, Event, Plan};
use platform_core::testing::{Faults, ManualClock, Side, World};
use platform_core::value::ResourceId;
use platform_core::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("starting::data_comes_back_before_anything_is_made", data_first),
        crate::trial("starting::a_start_happens_once", once),
        crate::trial("starting::a_start_killed_anywhere_happens_once", killed),
        crate::trial("starting::a_platform_with_data_does_not_start_anew", with_data),
    ]
}

const RESTORE: &str = "k8s/main:Restore.velero.io/backup/start-latest";
const RECORD: &str = "k8s/main:ConfigMap/backup/started-from";

fn text(from: &str) -> String {
    format!(
        "name: demo\nenvironment: local\ndatabase: {{}}\nstorage: {{ buckets: [{{ name: models }}] }}\n\
         security: {{ applications: [{{ name: apps, uses: [database] }}] }}\n\
         backup:\n  {from}\n  store: {{ endpoint: 'https://s3.example.com', bucket: backups, access: {{ supplied: s3, revision: 1 }} }}\n"
    )
}

fn latest() -> String {
    text("restore_from: latest")
}

struct Ground {
    world: World,
    clock: ManualClock,
}

impl Ground {
    fn new() -> Self {
        let (world, clock) = cluster();
        Self { world, clock }
    }

    fn platform(&self, text: &str, faults: &Faults) -> Platform {
        let provider = faults.around(Arc::new(self.world.clone()), Arc::new(self.clock.clone()));
        let config = PlatformConfig::parse(text, "demo.yaml").unwrap_or_else(|errors| panic!("{errors}"));
        let stack = Kubernetes::on(provider, Arc::new(self.clock.clone()));
        let builder = Platform::builder(config).provider(stack);
        builder.lease_ttl(Duration::from_secs(4)).build().unwrap()
    }

    fn plan(&self, text: &str) -> Result<Plan> {
        let platform = self.platform(text, &Faults::none());
        self.clock.drive(platform.plan()).done().expect("stalled")
    }

    /// Applies; all of it must succeed.
    fn apply(&self, text: &str) -> Plan {
        self.apply_telling(text, &mut |_| {})
    }

    fn apply_telling(&self, text: &str, on_event: &mut (dyn FnMut(Event) + Send)) -> Plan {
        let platform = self.platform(text, &Faults::none());
        let run = async {
            let plan = platform.plan().await?;
            let report = platform.apply(&plan, &Approvals::none(), on_event).await?;
            assert!(report.is_success(), "{:?}", report.outcomes);
            Ok::<_, Error>(plan)
        };
        self.clock.drive(run).done().expect("stalled").unwrap()
    }

    fn has(&self, id: &str) -> bool {
        self.world.ids().contains(&id.parse().unwrap())
    }
}

/// The action on an object, if the plan has a step for it that is one.
fn action(plan: &Plan, id: &str) -> Option<Action> {
    plan.step(&id.parse().unwrap()).map(|step| step.action)
}

fn data_first() {
    let ground = Ground::new();
    let (mut done, mut too_early) = (BTreeSet::new(), Vec::new());
    let mut waited = 0;
    ground.apply_telling(&latest(), &mut |event| match event {
        Event::Started { id, .. } => {
            let of_data =
                ["database", "storage", "security", "apps"].contains(&id.name().namespace().unwrap_or_default());
            let kind = id.kind().short();
            if of_data && ["Secret", "PersistentVolumeClaim", "StatefulSet", "Job"].contains(&kind) {
                waited += 1;
                if !done.contains(RECORD) {
                    too_early.push(id.to_string());
                }
            }
            if id.to_string() == RECORD {
                assert!(done.contains(RESTORE));
            }
        }
        Event::Done { id, .. } => {
            done.insert(id.to_string());
        }
        _ => {}
    });
    assert!(too_early.is_empty() && waited > 10, "{waited}: {too_early:?}");
    let record = ground.world.view(&RECORD.parse().unwrap()).unwrap();
    assert_eq!(record["data"]["wanted"], "latest");
    assert!(record["data"]["at"].as_str().unwrap().starts_with("2026-"), "{record}");
    assert!(ground.plan(&latest()).unwrap().is_empty());
}

fn once() {
    let ground = Ground::new();
    ground.apply(&latest());
    let end = ground.world.ids();

    // Another backup is refused where it is written.
    let why = ground.plan(&text("restore_from: demo-20260101")).unwrap_err();
    let told = why.report();
    assert!(
        told.contains("demo.yaml:7:17") && told.contains("started from \"latest\""),
        "{told}"
    );

    // Velero forgets a restore together with its backup.
    assert!(ground.world.remove(&RESTORE.parse().unwrap()));
    assert!(ground.plan(&latest()).unwrap().is_empty());

    // The key goes and comes back: nothing is restored.
    ground.apply(&latest());
    let without = ground.apply(&text("retention: 8d"));
    assert_eq!(action(&without, RECORD), Some(Action::Release));
    let again = ground.apply(&latest());
    assert_eq!(
        (action(&again, RECORD), action(&again, RESTORE)),
        (Some(Action::Adopt), None)
    );

    // Nor after a destroy that kept the data.
    let platform = ground.platform(&latest(), &Faults::none());
    let destroy = async {
        let plan = platform.destroy_plan().await?;
        platform.apply(&plan, &Approvals::none(), |_| {}).await
    };
    assert!(ground.clock.drive(destroy).done().unwrap().unwrap().is_success());
    assert!(ground.has(RECORD) && ground.has("k8s/main:PersistentVolumeClaim/database/data-postgres-0"));
    ground.apply(&latest());
    let mut expected = end;
    expected.remove(&RESTORE.parse().unwrap());
    assert_eq!(ground.world.ids(), expected);
    assert!(ground.plan(&latest()).unwrap().is_empty());
}

fn killed() {
    let undisturbed = Ground::new();
    let faults = Faults::none();
    let run = async |ground: &Ground, faults: &Faults| {
        let platform = ground.platform(&latest(), faults);
        let plan = platform.plan().await?;
        platform.apply(&plan, &Approvals::none(), |_| {}).await
    };
    undisturbed
        .clock
        .drive(run(&undisturbed, &faults))
        .done()
        .unwrap()
        .unwrap();
    let (calls, end) = (faults.calls(), undisturbed.world.ids());
    assert!(calls > 60, "{calls}");
    let mut died = 0;
    for n in (1..=calls).step_by(5) {
        for side in [Side::Before, Side::After] {
            let ground = Ground::new();
            let faults = Faults::none().kill_at(n, side);
            let victim = ground.clock.drive_until(run(&ground, &faults), || faults.is_dead());
            died += u32::from(victim.done().is_none());
            let restored: Option<_> = ground.world.uid(&RESTORE.parse().unwrap());
            ground.apply(&latest());
            assert_eq!(ground.world.ids(), end, "{side:?} call {n} of {calls}");
            let now = ground.world.uid(&RESTORE.parse().unwrap());
            assert!(
                restored.is_none() || restored == now,
                "{side:?} call {n}: restored twice"
            );
            assert!(
                ground.plan(&latest()).unwrap().is_empty(),
                "{side:?} call {n} of {calls}"
            );
        }
    }
    println!("{died} deaths in {calls} calls");
}

fn with_data() {
    let ground = Ground::new();
    ground.apply(&text("retention: 8d"));
    let (ids, writes) = (ground.world.ids(), ground.world.writes());
    let told = ground.plan(&latest()).unwrap_err().report();
    assert!(told.contains("only a new platform starts from a backup"), "{told}");
    // A kept volume alone is data.
    let platform = ground.platform(&text("retention: 8d"), &Faults::none());
    let destroy = async {
        let plan = platform.destroy_plan().await?;
        platform.apply(&plan, &Approvals::none(), |_| {}).await
    };
    assert_eq!((ground.world.ids(), ground.world.writes()), (ids, writes));
    assert!(ground.clock.drive(destroy).done().unwrap().unwrap().is_success());
    let left: ResourceId = "k8s/main:PersistentVolumeClaim/database/data-postgres-0"
        .parse()
        .unwrap();
    assert!(ground.world.ids().contains(&left));
    assert!(ground.plan(&latest()).is_err());
}
