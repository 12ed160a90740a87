//! One config file to a whole ML platform.
//!
//! [`config`] reads the file, [`Platform`] plans and applies what it asks for.
//!
//! ```
//! # #[cfg(feature = "k8s")] {
//! # use platform_core::testing::{ManualClock, World};
//! # use platform_core::value::{Clock, Place};
//! # use std::sync::Arc;
//! use composition::config::PlatformConfig;
//! use composition::kubernetes::Kubernetes;
//! use composition::Platform;
//! use platform_core::engine::Event;
//! use platform_core::Risk;
//!
//! # struct Progress(usize);
//! # impl Progress { fn on(&mut self, _event: &Event) { self.0 += 1; } }
//! async fn bring_up(cluster: Kubernetes, progress: &mut Progress) -> Result<(), Box<dyn std::error::Error>> {
//!     let text = "name: demo\nenvironment: local\ndatabase: { storage: 20Gi }\nsecurity: {}\n";
//!     let config = PlatformConfig::parse(text, "platform.yaml")?; // a file: PlatformConfig::load("platform.yaml")?
//!     // a cluster: Kubernetes::from_kubeconfig(path, "kind-ml-platform").await?
//!     let platform = Platform::builder(config).provider(cluster).build()?;
//!
//!     let plan = platform.plan().await?; // reads only
//!     println!("{}", plan.display());
//!     if plan.is_empty() {
//!         return Ok(());
//!     }
//!     // Data is approved one by one, by a person.
//!     let approvals = plan.demands().accept(&[Risk::Downtime], "deploy-bot", "change 4711");
//!     let report = platform.apply(&plan, &approvals, |event| progress.on(&event)).await?;
//!     println!("{}{}", report.display(), report.outputs().display());
//!     assert!(report.is_success());
//!     Ok(())
//! }
//! # let clock = ManualClock::new();
//! # let world = World::new(Place::kubernetes("main").unwrap(), provider_k8s::facts, Arc::new(clock.clone()));
//! # let stack = || Kubernetes::on(Arc::new(world.clone()), Arc::new(clock.clone()));
//! # let (mut first, mut second) = (Progress(0), Progress(0));
//! # clock.drive(bring_up(stack(), &mut first)).done().unwrap().unwrap();
//! # clock.drive(bring_up(stack(), &mut second)).done().unwrap().unwrap();
//! # assert!(first.0 > 20 && second.0 == 0, "the second run finds nothing to do");
//! # }
//! ```

#[cfg(feature = "aws")]
mod account;
mod backups;
#[cfg(feature = "k8s")]
mod cluster;
pub mod config;
#[cfg(all(feature = "aws", feature = "k8s"))]
mod eks;
pub mod lower;
mod platform;
mod wire;

pub use backups::{Backups, word};
#[cfg(all(feature = "aws", feature = "k8s"))]
pub use eks::Eks;
pub use platform::{IntoStack, Part, PlanOptions, Platform, PlatformBuilder};
#[cfg(feature = "aws")]
pub use provider_aws as aws;
#[cfg(feature = "network")]
pub use provider_aws_network as aws_network;
#[cfg(feature = "k8s")]
pub use provider_k8s as kubernetes;
