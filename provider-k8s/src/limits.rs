//! What the containers of a namespace may use, each and together.

use crate::object::{Scope, cpu};
use crate::pod::{Container, sum};
use platform_core::value::Size;
use platform_core::{Capability, Error, ErrorKind, LimitSpec, QuotaSpec, Resource, Result};
use serde_json::{Map, Value, json};

/// What the platform's own pods of a namespace need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// All of them together, in thousandths of a core.
    cpu_milli: u32,
    memory: Size,
    pods: u32,
    /// Volumes; absent where there is none.
    storage: Option<Size>,
    /// The most that one container of theirs states.
    largest: (u32, Size),
}

impl Needs {
    /// Of these containers in so many pods.
    pub(crate) fn of<'a>(
        containers: impl Iterator<Item = &'a Container> + Clone,
        pods: usize,
        storage: Option<Size>,
    ) -> Self {
        let (cpu_milli, memory) = sum(containers.clone());
        let limits = |container: &'a Container| container.resources();
        Self {
            cpu_milli,
            memory,
            pods: u32::try_from(pods).unwrap_or(u32::MAX),
            storage,
            largest: (
                containers.clone().map(|one| limits(one).cpu_limit).max().unwrap_or(0),
                containers
                    .map(|one| limits(one).memory_limit)
                    .max()
                    .unwrap_or(Size::mib(0)),
            ),
        }
    }

    /// Of a namespace in which nothing of the platform runs.
    pub(crate) const fn nothing() -> Self {
        Self {
            cpu_milli: 500,
            memory: Size::mib(256),
            pods: 0,
            storage: None,
            largest: (0, Size::mib(1)),
        }
    }
}

/// The quota of the scope's namespace and the limits of its containers.
///
/// Without a wish the quota is a multiple of what the platform's own pods need (a replacement starts beside the
/// old one, a Job beside both), with room for ten pods more.
///
/// # Errors
/// `Invalid`, with the config's key as the context `config`, when the platform's own pods don't fit.
pub(crate) fn of_platform(scope: &Scope<'_>, needs: Needs) -> Result<Vec<Resource>> {
    let scope = scope.under(Capability::Security.as_str());
    let security = &scope.context().security;
    let times = u64::from(security.quota_factor);
    let several = |size: Size| Size::mib(size.as_mib().saturating_mul(times));
    let roomy = QuotaSpec {
        cpu_milli: Some(needs.cpu_milli.saturating_mul(security.quota_factor)),
        memory: Some(several(needs.memory)),
        pods: Some(needs.pods.saturating_add(10)),
        storage: needs.storage.map(several),
    };
    let wanted = security.quotas.get(scope.base()).copied().unwrap_or_default().or(roomy);
    if needs.pods > 0 {
        fits(scope.base(), &wanted, needs)?;
    }
    let mut resources = vec![quota(&scope, &wanted)?];
    let own = security.limits.get(scope.base()).copied().unwrap_or_default();
    let limits = own.or(security.default_limits);
    leaves_room(scope.base(), own, limits, needs.largest)?;
    resources.extend(containers(&scope, limits)?);
    Ok(resources)
}

/// What a namespace may use together; nothing said of something leaves it open.
pub(crate) fn quota(scope: &Scope<'_>, wanted: &QuotaSpec) -> Result<Resource> {
    let mut hard = Map::new();
    for (what, amount) in [
        ("cpu", wanted.cpu_milli.map(|milli| json!(cpu(milli)))),
        ("memory", wanted.memory.map(|memory| json!(memory))),
    ] {
        if let Some(amount) = amount {
            hard.insert(format!("limits.{what}"), amount.clone());
            hard.insert(format!("requests.{what}"), amount);
        }
    }
    if let Some(pods) = wanted.pods {
        hard.insert("pods".to_owned(), json!(pods.to_string()));
    }
    if let Some(storage) = wanted.storage {
        hard.insert("requests.storage".to_owned(), json!(storage));
    }
    // No Service opens the cluster to the outside.
    for what in ["services.loadbalancers", "services.nodeports"] {
        hard.insert(what.to_owned(), json!("0"));
    }
    scope.object(
        "ResourceQuota",
        "quota",
        "quota",
        json!({ "spec": { "hard": Value::Object(hard) } }),
    )
}

/// Refuses a most of containers that is less than the platform's own have.
fn leaves_room(namespace: &str, own: LimitSpec, limits: LimitSpec, (most_cpu, most_memory): (u32, Size)) -> Result<()> {
    let refuse = |key: &str, is_own: bool, limit: String, need: String| {
        let block = if is_own {
            format!("limits.{namespace}")
        } else {
            "default_limits".to_owned()
        };
        Err(too_little(
            &format!("security.{block}.{key}"),
            &format!("a container of the platform in `{namespace}` has a limit of {need}, more than {limit}"),
            &need,
        ))
    };
    if let Some(limit) = limits.max_cpu_milli.filter(|limit| *limit < most_cpu) {
        return refuse("max_cpu", own.max_cpu_milli.is_some(), cpu(limit), cpu(most_cpu));
    }
    if let Some(limit) = limits.max_memory.filter(|limit| *limit < most_memory) {
        return refuse(
            "max_memory",
            own.max_memory.is_some(),
            limit.to_string(),
            most_memory.to_string(),
        );
    }
    Ok(())
}

/// What each container of a namespace gets that states nothing, and may state at most; `None` where that is nothing.
pub(crate) fn containers(scope: &Scope<'_>, limits: LimitSpec) -> Result<Option<Resource>> {
    let set = |of_cpu: Option<u32>, of_memory: Option<Size>| {
        let values = [
            ("cpu", of_cpu.map(|milli| json!(cpu(milli)))),
            ("memory", of_memory.map(|size| json!(size))),
        ];
        let values: Map<String, Value> = values
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect();
        (!values.is_empty()).then_some(values)
    };
    let at_most = |wanted: Option<u32>| wanted.map(|milli| milli.min(limits.max_cpu_milli.unwrap_or(u32::MAX)));
    let default_cpu = at_most(limits.cpu_milli);
    let default_memory = limits
        .memory
        .map(|size| size.min(limits.max_memory.unwrap_or(Size::MAX)));
    let default = set(default_cpu, default_memory);
    let request = set(
        default_cpu.map(|milli| (milli / 10).max(1)),
        default_memory.map(|size| Size::mib((size.as_mib() / 4).max(1))),
    );
    let max = set(limits.max_cpu_milli, limits.max_memory);
    if default.is_none() && max.is_none() {
        return Ok(None);
    }
    let body = json!({ "spec": { "limits": [{
        "type": "Container", "default": default, "defaultRequest": request, "max": max,
    }]}});
    scope.object("LimitRange", "limits", "limits", body).map(Some)
}

fn fits(namespace: &str, quota: &QuotaSpec, needs: Needs) -> Result<()> {
    let key = |what: &str| format!("security.quotas.{namespace}.{what}");
    let refuse = |what: &str, limit: String, need: String| {
        let message = format!("{limit} is less than the {need} that the platform's own pods in `{namespace}` need");
        Err(too_little(&key(what), &message, &need))
    };
    if let Some(limit) = quota.cpu_milli.filter(|limit| *limit < needs.cpu_milli) {
        return refuse("cpu", cpu(limit), cpu(needs.cpu_milli));
    }
    if let Some(limit) = quota.memory.filter(|limit| *limit < needs.memory) {
        return refuse("memory", limit.to_string(), needs.memory.to_string());
    }
    if let Some(limit) = quota.pods.filter(|limit| *limit < needs.pods) {
        return refuse("pods", limit.to_string(), needs.pods.to_string());
    }
    if let (Some(limit), Some(need)) = (quota.storage, needs.storage)
        && limit < need
    {
        return refuse("storage", limit.to_string(), need.to_string());
    }
    Ok(())
}

fn too_little(key: &str, message: &str, need: &str) -> Error {
    Error::new(ErrorKind::Invalid, message)
        .with_context("config", key)
        .with_help(format!("write at least {need}"))
}
