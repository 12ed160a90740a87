//! What secures the platform beside its workloads: supplied secrets, the limits of their namespace, and namespaces for
//! the applications that use it.
//!
//! Namespaces with their Pod Security labels, the certificate authority and default-deny are part of the
//! foundation. The policy, quota and credentials of a workload stand in the blueprint of its capability, under
//! the heading `security` where they are no part of the workload itself: so `--only database` brings them
//! along, and removing a block removes them.

mod applications;

use crate::foundation;
use crate::kubernetes::Shared;
use crate::limits::{self, Needs};
use crate::object::{Scope, is_label};
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::value::Recipe;
use platform_core::{
    ApplicationSpec, Blueprint, Capability, Context, Error, ErrorKind, PeopleSpec, Result, Security, SecurityFeatures,
    SecurityOutputs, SecuritySpec, Surface,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The capabilities that applications can use.
const CLIENTS: [Capability; 3] = [Capability::Database, Capability::Cache, Capability::Storage];

/// Security on Kubernetes.
#[derive(Debug)]
pub(crate) struct KubernetesSecurity(pub(crate) Arc<Shared>);

#[async_trait]
impl Security for KubernetesSecurity {
    fn features(&self) -> SecurityFeatures {
        let mut features = SecurityFeatures::default();
        features.network_policies = true;
        features.people = true;
        features.rotation = true;
        features
    }

    fn surface(&self, spec: &SecuritySpec, context: &Context) -> Result<Surface> {
        check(spec)?;
        Ok(Surface {
            workloads: applications::workloads(spec, context)?,
            ..Surface::default()
        })
    }

    fn blueprint(&self, spec: &SecuritySpec, context: &Context) -> Result<Blueprint<SecurityOutputs>> {
        check(spec)?;
        let scope = Scope::new(self.0.place(), context, Capability::Security)?;
        let mut resources = self.0.own_foundation(Capability::Security, context)?;
        resources.extend(limits::of_platform(&scope, Needs::nothing())?);
        resources.extend(applications::resources(&self.0, spec, context)?);
        let mut secrets = BTreeMap::new();
        for (name, supplied) in &spec.secrets {
            let secret = scope.kept_secret(
                name,
                name,
                &BTreeMap::from([("value", Recipe::Supplied(supplied.clone()))]),
            )?;
            secrets.insert(name.clone(), format!("{}, key value", secret.id.label()));
            resources.push(secret);
        }
        Blueprint::new(
            resources,
            &SecurityOutputs {
                ca: Some(foundation::ca_location(self.0.place(), context)?),
                secrets,
            },
        )
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

fn check(spec: &SecuritySpec) -> Result<()> {
    for name in spec.secrets.keys() {
        if !is_label(name) || name == foundation::AUTHORITY || name == foundation::CERTIFICATE {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{name:?} cannot be the name of a supplied secret"),
            )
            .with_help("write lower-case letters, digits and inner hyphens, and neither certificate-authority nor ca-certificate"));
        }
    }
    let mut names = BTreeSet::new();
    for application in &spec.applications {
        let name = application.name.as_str();
        if !is_label(name) || ApplicationSpec::is_taken(name) || !names.insert(name) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{name:?} cannot be the namespace of an application"),
            )
            .with_help("write a name of its own in lower-case letters, digits and inner hyphens"));
        }
        for used in &application.uses {
            if !CLIENTS.contains(used) {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("application {name} cannot use {used}, which has no clients"),
                )
                .with_help("write database, cache or storage"));
            }
        }
    }
    check_people(&spec.people)?;
    for rule in &spec.allow {
        if !is_label(&rule.namespace) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{:?} cannot be the name of a namespace", rule.namespace),
            )
            .with_help("write the namespace that may connect"));
        }
    }
    Ok(())
}

fn check_people(people: &PeopleSpec) -> Result<()> {
    let (viewers, operators) = (&people.viewers, &people.operators);
    for (kind, viewers, operators) in [
        ("group", &viewers.groups, &operators.groups),
        ("user", &viewers.users, &operators.users),
    ] {
        let refuse = |name: &str, why: &str, help: &str| {
            Err(Error::new(ErrorKind::Invalid, format!("the {kind} {name:?} {why}")).with_help(help))
        };
        for name in viewers.iter().chain(operators) {
            if let Some(why) = PeopleSpec::misfit(name) {
                return refuse(name, why, "name groups and users as the cluster's login does");
            }
        }
        if let Some(both) = viewers.intersection(operators).next() {
            let help = "leave it among the operators alone: they see all that viewers see";
            return refuse(both, "is viewer and operator", help);
        }
    }
    Ok(())
}
