//! Certificates on a real API server: leaves signed again before their end, and an authority replaced in three plans,
//! each certificate verified with what its clients trust at that time.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use composition::Platform;
use futures::future::BoxFuture;
use platform_core::engine::{Cause, Plan};
use platform_core::value::{Clock, SystemClock, Timestamp};
use x509_parser::pem::Pem;
use xtask::proxy::{Fault, Rule};

use crate::configured::{apply, config, platform_by, try_apply, uids};
use crate::shared::{control_plane, object, prefix, proxied};
use crate::stage::{accepted, told};

const DAY: Duration = Duration::from_hours(24);

/// The machine's clock, days ahead.
#[derive(Debug)]
struct Ahead(SystemClock, u32);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.0.now().plus(DAY * self.1)
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
}

struct Site {
    prefix: String,
    kubeconfig: std::path::PathBuf,
}

impl Site {
    /// The platform, so many days from now.
    async fn platform(&self, days: u32, authority: u32) -> Platform {
        let text = config(
            &self.prefix,
            "{ storage: 1Gi }",
            "{ memory: 128Mi, replicas: 1 }",
            "{ capacity: 1Gi }",
            &format!("security: {{ revisions: {{ authority: {authority} }} }}"),
        );
        let clock = Arc::new(Ahead(SystemClock::new(), days));
        platform_by(&self.kubeconfig, &text, None, clock).await
    }

    /// Plans and applies, and finds nothing left to do.
    async fn settle(&self, days: u32, authority: u32) -> Plan {
        let platform = self.platform(days, authority).await;
        let plan = platform.plan().await.unwrap();
        apply(&platform, &plan).await;
        assert_eq!(told(&platform.plan().await.unwrap()), Vec::<String>::new());
        plan
    }

    fn value(&self, space: &str, secret: &str, key: &str) -> Vec<u8> {
        let secret = object(&format!("secret {secret} --namespace {}{space}", self.prefix)).unwrap();
        STANDARD
            .decode(secret["data"][key].as_str().unwrap_or_default())
            .unwrap()
    }

    /// Common names of what clients trust, everywhere the same.
    fn trusted(&self) -> Vec<String> {
        let bundle = self.value("security", "certificate-authority", "ca.crt");
        for (space, secret) in [
            ("security", "ca-certificate"),
            ("database", "postgres-tls"),
            ("cache", "redis-tls"),
            ("storage", "minio-tls"),
        ] {
            assert_eq!(self.value(space, secret, "ca.crt"), bundle, "{space}/{secret}");
        }
        let names = Pem::iter_from_buffer(&bundle).map(|one| {
            let name = one.unwrap().parse_x509().unwrap().subject().to_string();
            name.rsplit(' ').next().unwrap().to_owned()
        });
        names.collect()
    }

    /// Verifies every leaf with each of these bundles, and says until when they last.
    fn verified(&self, bundles: &[&[u8]]) -> Vec<i64> {
        let mut ends = Vec::new();
        for (space, secret) in [
            ("database", "postgres-tls"),
            ("cache", "redis-tls"),
            ("storage", "minio-tls"),
        ] {
            let leaf = self.value(space, secret, "tls.crt");
            let leaf = Pem::iter_from_buffer(&leaf).next().unwrap().unwrap();
            let leaf = leaf.parse_x509().unwrap();
            for bundle in bundles {
                let trusted = Pem::iter_from_buffer(bundle).any(|one| {
                    let one = one.unwrap();
                    let one = one.parse_x509().unwrap();
                    leaf.issuer() == one.subject() && leaf.verify_signature(Some(one.public_key())).is_ok()
                });
                assert!(trusted, "{secret} is not trusted");
            }
            ends.push(leaf.validity().not_after.timestamp());
        }
        ends
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_and_their_authority_replaced() {
    let (proxy, kubeconfig) = proxied(control_plane().admin());
    let site = Site {
        prefix: prefix(),
        kubeconfig,
    };
    site.settle(0, 1).await;
    assert_eq!(site.trusted(), ["1"]);
    let bundle = || site.value("security", "certificate-authority", "ca.crt");
    let first_bundle = bundle();
    site.verified(&[&first_bundle]);
    let claims = uids(&site.prefix, "persistentvolumeclaims");

    // Leaves, eleven months later; the process dies between the Secrets and the servers.
    let platform = site.platform(340, 1).await;
    let plan = platform.plan().await.unwrap();
    let renewed = plan.steps.iter().filter(|step| step.cause == Cause::Time).count();
    assert_eq!((renewed, plan.counts().change), (3, 6), "{:#?}", told(&plan));
    proxy.set_rules([Rule::new(Fault::refusal(403, "Forbidden", "no"))
        .writes()
        .path("/statefulsets/")]);
    let report = try_apply(&platform, &plan, &accepted(&plan)).await.unwrap();
    assert_eq!(report.failures().count(), 3);
    proxy.set_rules([]);
    let served = uids(&site.prefix, "pods");
    let rest = platform.plan().await.unwrap();
    assert_eq!(rest.counts().change, 3, "{:#?}", told(&rest));
    assert!(rest.changes().all(|step| step.id.kind().as_str() == "StatefulSet.apps"));
    // The first plan is as good as a new one.
    apply(&platform, &plan).await;
    assert_eq!(told(&platform.plan().await.unwrap()), Vec::<String>::new());
    let restarted = uids(&site.prefix, "pods");
    assert_eq!(served.len(), restarted.len());
    assert!(
        served.iter().all(|(name, uid)| restarted[name] != *uid),
        "a server was not restarted"
    );
    let now = SystemClock::new().now().seconds();
    for end in site.verified(&[&first_bundle]) {
        assert!(end > now + 700 * 86_400, "a leaf ends at {end}");
    }

    // Three plans, a day apart, whose certificates are trusted before and after each.
    let passwords = site.value("database", "postgres-credentials", "password");
    let mut before = first_bundle;
    for (day, numbers) in [(341, vec!["1", "2"]), (343, vec!["2", "1"]), (345, vec!["2"])] {
        site.settle(day, 2).await;
        assert_eq!(site.trusted(), numbers, "day {day}");
        let after = bundle();
        site.verified(&[&before, &after]);
        before = after;
        let key = site.value("security", "certificate-authority", "next.key");
        assert_eq!(key.is_empty(), day != 341);
    }
    assert_eq!(
        told(&site.platform(400, 2).await.plan().await.unwrap()),
        Vec::<String>::new()
    );
    assert_eq!(site.value("database", "postgres-credentials", "password"), passwords);
    assert_eq!(uids(&site.prefix, "persistentvolumeclaims"), claims);
}
