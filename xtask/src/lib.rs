//! The project's own tasks, and the real peers its tests talk to.
//!
//! * [`control_plane`] builds and starts etcd, kube-apiserver, kube-controller-manager and kube-scheduler;
//! * [`fake_kubelet`] plays the nodes: pods become Ready, jobs complete, volumes bind and grow;
//! * [`peer`] makes emulators, judges and servers ready that others wrote;
//! * [`proxy`] stands in front of an API server or an emulator and counts, delays, drops, repeats or answers calls;
//! * [`velero`] runs the real Velero and a store for it beside a control plane;
//! * [`cargo`] runs cargo out of a program that cargo runs;
//! * [`cache`] is the per-user folder where built peers lie.
//!
//! Everything binds loopback addresses or unix sockets only, reads no kubeconfig and no credential of the machine, and
//! leaves nothing behind, also when its owner is killed.

pub mod background;
pub mod cache;
pub mod cargo;
pub mod control_plane;
pub mod fake_kubelet;
pub mod peer;
mod product;
pub mod proxy;
pub mod velero;
