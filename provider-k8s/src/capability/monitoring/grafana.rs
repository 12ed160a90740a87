//! Grafana: everything it shows comes from files, so it keeps nothing of its own.

use super::servers::{Site, get};
use super::stateless::Stateless;
use super::{Watched, dashboards, document};
use crate::capability::login::login_revision;
use crate::pod::{Container, Resources, config_volume, scratch_volume, secret_volume};
use platform_core::value::{Recipe, Size};
use platform_core::{Resource, Result};
use serde_json::json;
use std::collections::BTreeMap;

/// Port of the pod.
pub(super) const PORT: u16 = 3000;
/// Port of the Service.
pub(super) const SERVICE_PORT: u16 = 80;
/// The user that the Secret opens, and the key of the password in it.
pub(super) const USER: &str = "admin";
pub(super) const PASSWORD: &str = "password";

/// Browsers take `localhost`, where a port-forward ends, for as safe as TLS, so that secure cookies reach it.
const SETTINGS: &str = "\
[server]
http_port = 3000
[security]
admin_user = admin
admin_password = $__file{/etc/grafana/secret/password}
secret_key = $__file{/etc/grafana/secret/secret-key}
cookie_secure = true
cookie_samesite = strict
content_security_policy = true
disable_gravatar = true
[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false
[users]
allow_sign_up = false
[auth.anonymous]
enabled = false
[snapshots]
external_enabled = false
[plugins]
preinstall_disabled = true
";

/// The Secret with user and password.
pub(super) fn credentials(name: &str) -> String {
    format!("{name}-credentials")
}

/// Grafana's container.
///
/// # Errors
/// When the catalogue has no image.
pub(super) fn container(site: &Site<'_>) -> Result<Container> {
    let image = site.shared.options.images.image("grafana", None)?;
    let resources = Resources {
        cpu_request: 100,
        cpu_limit: 500,
        memory_request: Size::mib(256),
        memory_limit: Size::mib(512),
    };
    let env = [
        ("GF_PATHS_CONFIG", "/etc/grafana/config/grafana.ini"),
        ("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning"),
    ];
    Ok(Container::new("grafana", image, resources)
        .env(env)
        .ports(&BTreeMap::from([("grafana".to_owned(), PORT)]))
        .probes(&get("/api/health", "grafana"), &get("/api/health", "grafana"), 300)
        .mount("data", "/var/lib/grafana")
        .mount("logs", "/var/log/grafana")
        .mount("tmp", "/tmp")
        .mount_read_only("config", "/etc/grafana/config")
        .mount_read_only("secret", "/etc/grafana/secret")
        .mount_read_only("datasources", "/etc/grafana/provisioning/datasources")
        .mount_read_only("providers", "/etc/grafana/provisioning/dashboards")
        .mount_read_only("dashboards", dashboards::FOLDER))
}

/// Grafana's objects.
///
/// # Errors
/// When a name is none.
pub(super) fn resources(
    site: &Site<'_>,
    name: &str,
    container: Container,
    watched: &Watched<'_>,
) -> Result<Vec<Resource>> {
    let scope = site.scope;
    let config = format!("{name}-config");
    let shown = format!("{name}-dashboards");
    let secret = credentials(name);
    let revision = scope.context().security.revisions.monitoring;
    let generated = |length| Recipe::Generate {
        length,
        revision,
        promoted: None,
    };
    let recipes = BTreeMap::from([
        ("username", Recipe::Literal { value: USER.to_owned() }),
        (PASSWORD, generated(24)),
        ("secret-key", generated(32)),
    ]);
    let settings = json!({ "data": {
        "grafana.ini": SETTINGS,
        "datasources.yaml": document(&dashboards::data_sources(watched, site.shared.options.cloudwatch.as_deref())),
        "providers.yaml": document(&dashboards::provider(watched)),
    }});
    let mut resources = Stateless {
        scope,
        name,
        serves: Some((SERVICE_PORT, "grafana")),
        inputs: vec![
            scope.object("ConfigMap", &config, name, settings)?,
            scope.object("ConfigMap", &shown, name, json!({ "data": dashboards::files(watched) }))?,
            // Grafana starts with an empty database every time, so neither opens anything that outlives this Secret.
            scope.remade_secret(&secret, name, &recipes)?,
        ],
        containers: vec![container],
        volumes: vec![
            config_volume("config", &config, &["grafana.ini"]),
            config_volume("datasources", &config, &["datasources.yaml"]),
            config_volume("providers", &config, &["providers.yaml"]),
            config_volume("dashboards", &shown, &[]),
            secret_volume(
                "secret",
                &secret,
                &[(PASSWORD, "password"), ("secret-key", "secret-key")],
            ),
            scratch_volume("data", Size::gib(1), false),
            scratch_volume("logs", Size::mib(64), false),
            scratch_volume("tmp", Size::mib(64), false),
        ],
        pull_secrets: &site.shared.options.images.pull_secrets,
    }
    .into_deployment()?;
    if let (true, Some(deployment)) = (revision > 1, resources.last_mut()) {
        // It takes both when it starts.
        let annotations = &mut deployment.desired_mut()["spec"]["template"]["metadata"]["annotations"];
        annotations[login_revision()] = json!(revision.to_string());
    }
    Ok(resources)
}
