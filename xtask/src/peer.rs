//! Programs that tests are held against, made ready in the cache folder by whoever asks first.
//!
//! Nothing is installed into the machine: Python tools lie in an environment of their own, Debian packages are only
//! unpacked, Go programs are built from pinned modules. Two processes that ask at once do the work once. The control plane has its own module.

mod debian;
mod exporters;
mod node;
mod object_store;
mod python;
mod tool;
mod velero;

pub use self::{
    debian::{Debian, Unpacked},
    exporters::{Exporters, exporters},
    node::iam_simulator,
    object_store::{ObjectStore, object_store},
    python::Python,
    tool::cargo_deny,
    velero::{VeleroPrograms, velero},
};
