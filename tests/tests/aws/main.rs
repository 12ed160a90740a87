//! The AWS provider under the engine, against moto and ministack. One binary, one pair of emulators, an account a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adoption;
mod backups;
mod between;
mod blueprints;
mod busy;
mod caches;
mod composites;
mod conformance;
mod databases;
mod eks;
mod eks_server;
mod emulators;
mod environments;
mod errors;
mod kills;
mod kinds;
mod lease;
mod life;
mod models;
mod monitoring;
mod names;
mod networks;
mod ownership;
mod platform;
mod policies;
mod preflight;
mod recorded;
mod rights;
mod schemas;
mod values;
mod vaults;
mod watching;
