//! Namespaces for applications: closed but for the capabilities that they use, with what they need to log in there.

use crate::capability::stateful::service_account;
use crate::kubernetes::Shared;
use crate::object::{Scope, namespace_of};
use crate::{foundation, limits, people, policy};
use platform_core::value::Recipe;
use platform_core::{
    ApplicationSpec, Call, Capability, Context, Error, ErrorKind, OnRemoval, Resource, Result, SecuritySpec, Workload,
};
use std::collections::BTreeMap;

/// Whom pods of an application act as, if they say so: it has no rights and no token.
const ACCOUNT: &str = "application";

/// Each application as one workload: every pod of its namespace.
pub(super) fn workloads(spec: &SecuritySpec, context: &Context) -> Result<Vec<Workload>> {
    spec.applications
        .iter()
        .map(|application| {
            let mut calls: Vec<Call> = application.uses.iter().map(|used| Call::Endpoints(*used)).collect();
            calls.push(Call::Dns);
            calls.extend(application.outside.iter().map(|port| Call::Outside { port: *port }));
            Ok(Workload {
                name: format!("application-{}", application.name),
                namespace: namespace_of(context, &application.name)?,
                labels: BTreeMap::new(),
                ports: application
                    .metrics
                    .map(|port| (policy::METRICS.to_owned(), port))
                    .into_iter()
                    .collect(),
                calls,
            })
        })
        .collect()
}

/// What there is in their namespaces.
///
/// # Errors
/// `Invalid` for the use of a capability that the platform does not have.
pub(super) fn resources(shared: &Shared, spec: &SecuritySpec, context: &Context) -> Result<Vec<Resource>> {
    let mut resources = Vec::new();
    if context.alone && !spec.applications.is_empty() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "security alone has nothing that applications could use",
        )
        .with_help("declare applications in a platform, beside the capabilities that they use"));
    }
    for application in &spec.applications {
        resources.extend(namespace(shared, application, spec, context)?);
    }
    Ok(resources)
}

fn namespace(
    shared: &Shared,
    application: &ApplicationSpec,
    spec: &SecuritySpec,
    context: &Context,
) -> Result<Vec<Resource>> {
    let scope = Scope::of(
        shared.place(),
        context,
        &application.name,
        Capability::Security.as_str(),
    )?;
    let level = application.pod_security.unwrap_or(spec.pod_security);
    let mut resources = vec![
        foundation::namespace(&scope, &application.name, level.as_str())?,
        // Kept with the namespace: what goes on running there must not find itself in the open.
        policy::default_deny(&scope)?.with_on_removal(OnRemoval::Retain),
        limits::quota(&scope, &application.quota.or(spec.default_quota))?,
    ];
    resources.extend(limits::containers(&scope, application.limits.or(spec.default_limits))?);
    resources.extend(policy::of_workloads(
        &scope,
        Capability::Security,
        &context.surfaces,
        &shared.options,
    )?);
    resources.extend(people::rights(&scope)?);
    resources.push(service_account(&scope, ACCOUNT)?);
    if !application.uses.is_empty() {
        resources.push(foundation::certificate_of_authority(
            &scope,
            foundation::CERTIFICATE,
            ACCOUNT,
        )?);
    }
    for used in &application.uses {
        resources.extend(client(&scope, *used)?);
    }
    Ok(resources)
}

/// The Secret `<capability>-client`: what the capability's own Secret gives to clients, and where to connect.
fn client(scope: &Scope<'_>, used: Capability) -> Result<Option<Resource>> {
    let Some(surface) = scope.context().surfaces.get(used) else {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "application {} uses {used}, which the platform does not have",
                scope.base()
            ),
        )
        .with_help(format!("ask for {used}, or take it out of what the application uses")));
    };
    let (Some(client), Some(endpoint)) = (&surface.client, surface.endpoints.first()) else {
        return Ok(None);
    };
    let from = client.secret.to_string();
    let mut recipes: BTreeMap<&str, Recipe> = client
        .keys
        .iter()
        .map(|key| {
            let copy = Recipe::Copy {
                from: from.clone(),
                key: key.clone(),
                revision: client.revision,
            };
            (key.as_str(), copy)
        })
        .collect();
    recipes.insert(
        "host",
        Recipe::Literal {
            value: endpoint.host.clone(),
        },
    );
    recipes.insert(
        "port",
        Recipe::Literal {
            value: endpoint.port.to_string(),
        },
    );
    scope
        .remade_secret(&format!("{used}-client"), ACCOUNT, &recipes)
        .map(Some)
}
