//! The platform's cache: a replication group of ElastiCache. Applications log in by IAM; there is no password anywhere.

use crate::aws::Shared;
use crate::draft::Draft;
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::value::{FieldPath, Reference, ResourceId};
use platform_core::{
    AlarmSubject, Blueprint, Cache, CacheEngine, CacheFeatures, CacheOutputs, CacheSpec, Capability, Context,
    DataAsset, Endpoint, Environment, Error, ErrorKind, Holds, Resource, Result, Surface,
};
use serde_json::json;
use std::sync::Arc;

pub(crate) const PORT: u16 = 6379;
const MAX_REPLICAS: u32 = 5;
/// The longest id of a replication group, a user, a user group.
const MAX_NAME: usize = 40;
/// Clients that a server takes.
const MAX_CLIENTS: u64 = 65_000;
/// What applications may do: every key, and no command that harms other users or the server; as in a pod.
const APP_RULES: &str =
    "on ~* &* +@all -@admin -@dangerous +info +client -client|kill -client|pause -client|unpause -client|no-evict";
/// The user that whoever names none is: nobody.
const NOBODY: &str = "off ~* -@all";

/// Valkey or Redis OSS by ElastiCache.
#[derive(Debug)]
pub(crate) struct AwsCache(pub(crate) Arc<Shared>);

impl AwsCache {
    fn draft<'a>(&'a self, context: &'a Context) -> Draft<'a> {
        Draft::new(&self.0, context, Capability::Cache.as_str())
    }
}

#[async_trait]
impl Cache for AwsCache {
    fn features(&self) -> CacheFeatures {
        let mut features = CacheFeatures::default();
        features.engines = vec![CacheEngine::Valkey, CacheEngine::Redis];
        features.max_replicas = MAX_REPLICAS;
        features
    }

    fn surface(&self, spec: &CacheSpec, context: &Context) -> Result<Surface> {
        check(spec)?;
        let draft = self.draft(context);
        let id = server(&draft)?;
        let name = id.name().to_string();
        // The group; its servers are `<group>-001` and on.
        let subject = |what: &str, limit| AlarmSubject {
            what: what.to_owned(),
            capability: Capability::Cache,
            limit,
            subject: name.clone(),
        };
        let mut subjects = vec![subject("utilisation", None), subject("connections", Some(MAX_CLIENTS))];
        if spec.replicas > 0 {
            subjects.push(subject("replicas", Some(u64::from(spec.replicas))));
        }
        Ok(Surface {
            endpoints: vec![Endpoint {
                name: "redis".to_owned(),
                // ElastiCache makes it.
                host: Reference::new(id.clone(), "endpoint").to_string(),
                port: PORT,
                tls: true,
                workload: None,
            }],
            data: if spec.persistence {
                vec![DataAsset {
                    id,
                    holds: Holds::Rebuildable,
                    workload: None,
                }]
            } else {
                Vec::new()
            },
            subjects,
            ..Surface::default()
        })
    }

    fn blueprint(&self, spec: &CacheSpec, context: &Context) -> Result<Blueprint<CacheOutputs>> {
        check(spec)?;
        let draft = self.draft(context);
        let id = server(&draft)?;
        let around = Around::of(&draft, spec)?;
        let mut resources = self.0.own_foundation(Capability::Cache, context)?;
        let mut outputs = json!({
            "host": Reference::new(id.clone(), "endpoint").to_value(),
            "port": PORT,
            "credentials": {
                "location": "IAM",
                "username": around.app.name(),
                "password_key": "a token signed for elasticache:Connect",
                "ca": "the system's trust store",
            },
        });
        // Whoever made the cache says how to log in.
        let others_log_in = context.left_of(&id).contains(&FieldPath::from("user_group"));
        if others_log_in {
            outputs["credentials"] = json!({
                "location": "where it was before the cache was taken over",
                "username": "default",
                "password_key": "the AUTH token, if there is one",
            });
        }
        resources.extend(around.resources(&draft, spec, !others_log_in)?);
        resources.push(around.group(&draft, spec, id.clone(), !others_log_in)?);
        if spec.replicas > 0 {
            outputs["read_host"] = Reference::new(id, "reader").to_value();
        }
        Ok(Blueprint::with_references(resources, outputs))
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

const GROUP: &str = "elasticache.ReplicationGroup";
const USER: &str = "elasticache.User";
const APP: &str = "app";

fn check(spec: &CacheSpec) -> Result<()> {
    if spec.replicas > MAX_REPLICAS {
        return Err(
            Error::new(ErrorKind::Invalid, "a cache has at most 5 read replicas").with_help("lower its replicas")
        );
    }
    if spec.storage_class.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a StorageClass cannot be had for a cache on AWS",
        )
        .with_help("leave it out, or place the cache on Kubernetes"));
    }
    Ok(())
}

fn engine(spec: &CacheSpec) -> &'static str {
    match spec.engine {
        CacheEngine::Valkey => "valkey",
        CacheEngine::Redis => "redis",
    }
}

fn version(spec: &CacheSpec) -> &str {
    spec.version.as_deref().unwrap_or(match spec.engine {
        CacheEngine::Valkey => "8",
        CacheEngine::Redis => "7",
    })
}

/// The family of parameters that a version has.
fn family(spec: &CacheSpec) -> String {
    match (spec.engine, version(spec)) {
        (CacheEngine::Redis, "6") => "redis6.x".to_owned(),
        (_, version) => format!("{}{version}", engine(spec)),
    }
}

fn server(draft: &Draft<'_>) -> Result<ResourceId> {
    draft.id(GROUP, &draft.name("", MAX_NAME))
}

/// What the servers need around them: subnets, parameters, users.
struct Around {
    subnets: ResourceId,
    parameters: ResourceId,
    app: ResourceId,
    nobody: ResourceId,
    users: ResourceId,
}

impl Around {
    fn of(draft: &Draft<'_>, spec: &CacheSpec) -> Result<Self> {
        // A new family needs a group of another name.
        let parameters = format!("cache-{}", family(spec).replace('.', "-"));
        Ok(Self {
            subnets: draft.id("elasticache.SubnetGroup", &draft.name("cache", 200))?,
            parameters: draft.id("elasticache.ParameterGroup", &draft.name(&parameters, 200))?,
            app: draft.id(USER, &draft.name(APP, MAX_NAME))?,
            nobody: draft.id(USER, &draft.name("default", MAX_NAME))?,
            users: draft.id("elasticache.UserGroup", &draft.name("users", MAX_NAME))?,
        })
    }

    fn resources(&self, draft: &Draft<'_>, spec: &CacheSpec, users: bool) -> Result<Vec<Resource>> {
        let (app, nobody) = (self.app.name(), self.nobody.name());
        let mut all = vec![
            draft.resource(self.subnets.clone(), json!({ "subnets": draft.private_subnets()? })),
            draft.resource(self.parameters.clone(), json!({ "family": family(spec) })),
        ];
        if users {
            all.extend([
                draft.resource(self.app.clone(), json!({ "user_name": app, "access": APP_RULES })),
                draft.resource(
                    self.nobody.clone(),
                    json!({ "user_name": "default", "access": NOBODY, "authentication": "none" }),
                ),
                draft
                    .resource(self.users.clone(), json!({ "users": [app, nobody] }))
                    .with_after(self.app.clone())
                    .with_after(self.nobody.clone()),
            ]);
        }
        Ok(all)
    }

    fn group(&self, draft: &Draft<'_>, spec: &CacheSpec, id: ResourceId, users: bool) -> Result<Resource> {
        let usual = match draft.context.environment {
            Environment::Local | Environment::Dev => "cache.t4g.small",
            Environment::Staging | Environment::Prod => "cache.m7g.large",
        };
        let desired = json!({
            "description": format!("cache of {}", draft.context.set),
            "engine": engine(spec),
            "version": version(spec),
            "node_type": spec.node_type.as_deref().unwrap_or(usual),
            "replicas": spec.replicas,
            "subnet_group": self.subnets.name(),
            "security_groups": [draft.security_group(Capability::Cache)?],
            "parameter_group": self.parameters.name(),
            "user_group": self.users.name(),
            "kms_key": draft.data_key()?,
            "snapshot_retention": if spec.persistence { 7 } else { 0 },
        });
        let group = draft
            .resource(id, desired)
            .with_after(self.subnets.clone())
            .with_after(self.parameters.clone());
        Ok(if users {
            group.with_after(self.users.clone())
        } else {
            group
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::network::{ExistingNetwork, Network};
    use crate::{Aws, AwsOptions};
    use platform_core::engine::Approvals;
    use platform_core::testing::{ManualClock, World};
    use platform_core::value::{Clock, Place};
    use platform_core::{Cache, CacheEngine, CacheSpec, Capability, Context, Environment, ErrorKind, Provider, Stack};
    use std::sync::Arc;

    fn stage() -> (ManualClock, World, Arc<dyn Cache>) {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let world = World::new(Place::aws("eu-west-1").unwrap(), crate::facts, Arc::clone(&shared));
        let subnets = ["subnet-a", "subnet-b"].map(str::to_owned);
        let network = ExistingNetwork::new("vpc-1", subnets).with_security_group(Capability::Cache, "sg-1");
        let options = AwsOptions::new("123456789012").with_network(Network::Existing(network));
        let provider: Arc<dyn Provider> = Arc::new(world.clone());
        let aws = Aws::on(provider, shared).with_options(options).unwrap();
        (clock, world, aws.cache().unwrap())
    }

    fn spec() -> CacheSpec {
        CacheSpec::new("ml-platform").with_replicas(1)
    }

    #[test]
    fn a_cache_comes_up_and_a_second_plan_is_empty() {
        let (clock, world, cache) = stage();
        let outputs = clock
            .drive(cache.provision(&spec(), &Approvals::none()))
            .done()
            .unwrap()
            .unwrap();
        assert_eq!(outputs.credentials.location, "IAM");
        assert_eq!(outputs.credentials.username, "ml-platform-cache-app");
        assert_eq!(outputs.port, 6379);
        assert!(!outputs.host.is_empty() && outputs.read_host.is_some());
        let second = clock.drive(cache.plan(&spec())).done().unwrap().unwrap();
        assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
        assert_eq!(
            world.ids().len(),
            7,
            "a key, subnets, parameters, two users, their group, the cache"
        );
    }

    #[test]
    fn every_value_passes_the_kinds_and_every_name_fits() {
        let (_, _, cache) = stage();
        for (name, environment, node) in [
            ("ml-platform", Environment::Dev, "cache.t4g.small"),
            (&"n".repeat(40), Environment::Staging, "cache.m7g.large"),
            ("ml-platform", Environment::Prod, "cache.m7g.large"),
        ] {
            for engine in [CacheEngine::Valkey, CacheEngine::Redis] {
                let context = Context::new(name, environment, "");
                let blueprint = cache.blueprint(&spec().with_engine(engine), &context).unwrap();
                for resource in &blueprint.resources {
                    let kind = crate::kind::Kinds::default().find(resource.id.kind()).unwrap();
                    kind.facts().name.check(&resource.id).unwrap();
                    kind.normalise(&resource.id, &resource.desired).unwrap();
                }
                let group = blueprint.resources.last().unwrap();
                assert_eq!(group.desired["node_type"], node);
                let surface = cache.surface(&spec(), &context).unwrap();
                assert!(
                    surface
                        .subjects
                        .iter()
                        .all(|subject| subject.subject == group.id.name().as_str())
                );
            }
        }
    }

    #[test]
    fn what_elasticache_has_not_is_refused() {
        let (_, _, cache) = stage();
        let context = Context::new("ml-platform", Environment::Dev, "");
        let mut class = spec();
        class.storage_class = Some("gp3".to_owned());
        for (spec, kind) in [
            (spec().with_replicas(6), ErrorKind::Invalid),
            (class, ErrorKind::Unsupported),
        ] {
            assert_eq!(cache.blueprint(&spec, &context).unwrap_err().kind(), kind);
        }
    }
}
