//! The rights that writes need, as IAM policies: exact actions, on exact ARNs where names make them, else bound by tags.

mod needs;
mod reach;

use crate::aws::region_of;
use crate::kind::EKS_CLUSTER;
use crate::kind::iam_role::SUMMARY;
use crate::kind::s3_bucket::Bucket;
use crate::kind::{AnyKind, AwsKind, Kinds};
use crate::provider::{APPLIED_QUOTA, DEFAULT_QUOTA};
use crate::{control, lock, names, policy, tags};
pub(crate) use needs::{Need, Told, Way, needs};
use platform_core::value::SetId;
use platform_core::{PlannedWrite, Verb};
pub use reach::Reach;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Policies, each short enough for a managed one, that allow these writes of a set, and planning them in these regions:
/// nothing more.
pub(crate) fn policies(
    kinds: Kinds,
    account: &str,
    planned: &[&str],
    set: &SetId,
    writes: &[PlannedWrite],
) -> Vec<Value> {
    let mut rights = Rights::new(account, set);
    let known: Vec<_> = writes
        .iter()
        .filter_map(|write| Some((kinds.find(write.id.kind())?, write, region_of(write.id.place()))))
        .collect();
    let regions: BTreeSet<&str> = known.iter().map(|(_, _, region)| *region).collect();
    let regions: BTreeSet<&str> = regions.into_iter().chain(planned.iter().copied()).collect();
    for region in regions {
        kinds.all().for_each(|kind| rights.read(kind, region));
        rights.lease(region, !writes.is_empty());
        if !writes.is_empty() {
            rights.control_bucket(region);
            rights.preflight(region);
        }
    }
    for (kind, write, region) in known {
        rights.write(kind, write, region);
    }
    rights.documents()
}

/// Characters that a managed policy may have, white space not counted.
const MAX_POLICY: usize = 6144;
/// What a document has around its statements.
const FRAME: usize = 40;
/// What tells objects apart by their names.
const NAMED: [&str; 2] = ["{name}", "{cluster}"];
/// ARNs in one statement at most.
const MAX_RESOURCES: usize = 40;

/// Actions that have no resource: they are granted on `*`.
pub(crate) const UNSCOPED: &[&str] = &[
    "backup-storage:MountCapsule",
    "backup:ListBackupJobs",
    "backup:ListBackupPlans",
    "backup:ListBackupVaults",
    "backup:ListRestoreJobs",
    // Both say nothing of composite alarms unless they are granted on everything.
    "cloudwatch:DescribeAlarms",
    "cloudwatch:PutCompositeAlarm",
    "cloudwatch:ListDashboards",
    "ec2:DescribeAddresses",
    "ec2:DescribeFlowLogs",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeNatGateways",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcs",
    "eks:CreateCluster",
    "eks:DescribeAddonVersions",
    "eks:ListClusters",
    "elasticache:DescribeCacheEngineVersions",
    "events:ListRules",
    "iam:ListRoles",
    "kms:CreateKey",
    "kms:ListAliases",
    "logs:DescribeLogGroups",
    "s3:ListAllMyBuckets",
    "secretsmanager:ListSecrets",
    "sns:ListTopics",
    "tag:GetResources",
];

/// Who may be given a role, by the service that it is named to.
const PASSED: &[(&str, &[&str])] = &[
    ("backup", &["backup.amazonaws.com"]),
    ("ec2", &["vpc-flow-logs.amazonaws.com"]),
    (
        "eks",
        &["ec2.amazonaws.com", "eks.amazonaws.com", "pods.eks.amazonaws.com"],
    ),
    ("events", &["events.amazonaws.com"]),
    ("rds", &["monitoring.rds.amazonaws.com"]),
    ("s3", &["s3.amazonaws.com"]),
];

/// For whom AWS makes a role of its own, by the service that asks for it.
const LINKED: &[(&str, &[&str])] = &[
    ("eks", &["eks.amazonaws.com", "eks-nodegroup.amazonaws.com"]),
    ("elasticache", &["elasticache.amazonaws.com"]),
    ("rds", &["rds.amazonaws.com"]),
];

/// Under which condition a right holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    Always,
    /// The call gives the new object the set's tag.
    Born,
    /// The set owns the object.
    Owned,
    /// No set owns it.
    Free,
    /// The set let go of it.
    Kept,
    /// EKS made it for a cluster.
    OfEks,
    /// A role is given to one of these.
    Passed(&'static [&'static str]),
    /// A role of AWS is made for one of these.
    Linked(&'static [&'static str]),
    /// A service calls on behalf of the caller.
    Via(String),
}

impl When {
    fn condition(&self, set: &SetId) -> Option<Value> {
        let of_tag = |way: &str, tag: &str| format!("aws:{way}Tag/{}", tags::key(tag));
        let equals = |key: String, value: Value| Some(json!({ "StringEquals": { key: value } }));
        match self {
            Self::Always => None,
            Self::Born => equals(of_tag("Request", tags::SET), json!(set)),
            Self::Owned => equals(of_tag("Resource", tags::SET), json!(set)),
            Self::Free => Some(json!({ "Null": { of_tag("Resource", tags::SET): "true" } })),
            Self::OfEks => Some(json!({ "Null": { format!("aws:ResourceTag/{EKS_CLUSTER}"): "false" } })),
            Self::Kept => equals(of_tag("Resource", tags::RETAINED), json!(set)),
            Self::Passed(services) => equals("iam:PassedToService".to_owned(), json!(services)),
            Self::Linked(services) => equals("iam:AWSServiceName".to_owned(), json!(services)),
            Self::Via(service) => equals("kms:ViaService".to_owned(), json!(service)),
        }
    }

    /// What a call tells IAM, in each way that is as good; none where a service makes the call, or makes a role for itself.
    fn contexts(&self, set: &SetId) -> Vec<Told> {
        let one = |key: String, value: &str| BTreeMap::from([(key, value.to_owned())]);
        let tag = |way: &str, tag: &str| vec![one(format!("aws:{way}Tag/{}", tags::key(tag)), set.as_str())];
        match self {
            Self::Always | Self::Free => vec![BTreeMap::new()],
            Self::Born => tag("Request", tags::SET),
            Self::Owned => tag("Resource", tags::SET),
            Self::Kept => tag("Resource", tags::RETAINED),
            Self::OfEks => vec![one(format!("aws:ResourceTag/{EKS_CLUSTER}"), "any")],
            Self::Passed(services) => {
                let each = services.iter();
                each.map(|service| one("iam:PassedToService".to_owned(), service))
                    .collect()
            }
            Self::Linked(_) | Self::Via(_) => Vec::new(),
        }
    }
}

/// The call by which a caller is asked about.
pub(crate) const SIMULATE: &str = "iam:SimulatePrincipalPolicy";

/// Actions on one ARN under one condition, each with what needs it: a write, or the run itself.
type Granted<'a> = BTreeMap<&'static str, Vec<Option<&'a PlannedWrite>>>;

/// The rights of writes, gathered.
struct Rights<'a> {
    account: &'a str,
    set: &'a SetId,
    /// The write that asks.
    by: Option<&'a PlannedWrite>,
    all: BTreeMap<(String, When), Granted<'a>>,
}

impl<'a> Rights<'a> {
    fn new(account: &'a str, set: &'a SetId) -> Self {
        Self {
            account,
            set,
            by: None,
            all: BTreeMap::new(),
        }
    }

    fn grant(&mut self, on: impl Into<String>, when: When, action: &'static str) {
        let actions = self.all.entry((on.into(), when)).or_default();
        actions.entry(action).or_default().push(self.by);
    }

    /// An ARN of a template, with these for what it leaves open.
    fn arn(&self, template: &str, region: &str, name: &str) -> String {
        let (cluster, rest) = name.split_once('/').unwrap_or((name, name));
        let filled = template
            .replace("{region}", region)
            .replace("{account}", self.account)
            .replace("{set}", self.set.as_str())
            .replace("{name}", name)
            .replace("{cluster}", cluster)
            .replace("{rest}", rest);
        format!("arn:{}:{filled}", names::partition(region))
    }

    /// The same for objects of every name.
    fn any(&self, template: &str, region: &str) -> String {
        let gaps = ["{name}", "{cluster}", "{set}"];
        match gaps.iter().filter_map(|gap| template.find(gap)).min() {
            Some(first) => self.arn(&format!("{}*", template.get(..first).unwrap_or(template)), region, ""),
            None => self.arn(template, region, ""),
        }
    }

    /// What a plan reads of a kind.
    fn read(&mut self, kind: &dyn AnyKind, region: &str) {
        let reach = kind.reach();
        for action in kind.facts().calls.read {
            if UNSCOPED.contains(action) {
                self.grant("*", When::Always, action);
                continue;
            }
            let here = service(action) == service(kind.facts().kind);
            let objects = reach.objects.iter().filter(|_| here);
            let objects = objects.map(|template| (*template, When::Always));
            for (template, when) in objects.chain(reach.more(action)) {
                self.grant(self.any(template, region), when, action);
            }
        }
    }

    /// The lease of the set in the control bucket.
    fn lease(&mut self, region: &str, writes: bool) {
        let object = format!("{}/{}", self.control_arn(region), lock::key(self.set));
        self.grant(object.as_str(), When::Always, "s3:GetObject");
        for action in ["s3:PutObject", "s3:DeleteObject"].into_iter().filter(|_| writes) {
            self.grant(object.as_str(), When::Always, action);
        }
    }

    /// The control bucket, which the first run of all makes.
    fn control_bucket(&mut self, region: &str) {
        let bucket = self.control_arn(region);
        let calls = Bucket::FACTS.calls;
        let on_buckets = calls.create.iter().chain(calls.update);
        for action in on_buckets.filter(|action| service(action) == "s3") {
            self.grant(bucket.as_str(), When::Always, action);
        }
    }

    fn control_arn(&self, region: &str) -> String {
        let partition = names::partition(region);
        format!("arn:{partition}:s3:::{}", control::bucket(self.account, region))
    }

    /// What one verb does to an object.
    fn write(&mut self, kind: &dyn AnyKind, write: &'a PlannedWrite, region: &str) {
        self.by = Some(write);
        let calls = kind.facts().calls;
        let (calls, whose): (_, &[When]) = match write.verb {
            Verb::Create => (calls.create, &[When::Owned, When::Free]),
            Verb::Adopt => (calls.update, &[When::Owned, When::Free]),
            Verb::Update | Verb::Release => (calls.update, &[When::Owned]),
            Verb::Delete => (calls.delete, &[When::Owned, When::Kept]),
        };
        let own = service(kind.facts().kind);
        let only_tags = write.verb == Verb::Release;
        for action in calls
            .iter()
            .filter(|action| !only_tags || action.to_lowercase().contains("tag"))
        {
            let birth = kind.reach().births.contains(action);
            if UNSCOPED.contains(action) {
                self.grant("*", if birth { When::Born } else { When::Always }, action);
            } else if service(action) == own {
                self.on_object(kind, write, region, action, if birth { &[When::Born] } else { whose });
            } else if kind.reach().more(action).next().is_some() {
                self.on_object(kind, write, region, action, &[]);
            } else {
                self.beyond(own, region, action);
            }
        }
    }

    /// A call on an object: by its name alone where that tells it apart, else `whose` it is.
    fn on_object(
        &mut self,
        kind: &dyn AnyKind,
        write: &PlannedWrite,
        region: &str,
        action: &'static str,
        whose: &[When],
    ) {
        let name = write.id.name().as_str();
        let here = service(action) == service(kind.facts().kind);
        for template in kind.reach().objects.iter().filter(|_| here) {
            let arn = self.arn(template, region, name);
            if NAMED.iter().any(|gap| template.contains(gap)) {
                self.grant(arn, When::Always, action);
            } else {
                for when in whose {
                    self.grant(arn.as_str(), when.clone(), action);
                }
            }
        }
        for (template, when) in kind.reach().more(action) {
            self.grant(self.arn(template, region, name), when, action);
        }
    }

    /// A call of another service, which a service makes on behalf of the caller or checks of them.
    fn beyond(&mut self, by: &str, region: &str, action: &'static str) {
        let listed = |table: &[(&str, &'static [&'static str])]| {
            let entry = table.iter().find(|(service, _)| *service == by);
            entry.map_or(&[][..], |(_, services)| *services)
        };
        let (template, when) = match (action, service(action)) {
            ("iam:PassRole", _) => ("iam::{account}:role/mlplat/{set}/*", When::Passed(listed(PASSED))),
            ("iam:CreateServiceLinkedRole", _) => {
                ("iam::{account}:role/aws-service-role/*", When::Linked(listed(LINKED)))
            }
            (_, "iam") => ("iam::{account}:role/*", When::Always),
            (_, "kms") => (
                "kms:{region}:{account}:key/*",
                When::Via(format!("{by}.{region}.{}", names::suffix(region))),
            ),
            // RDS makes the secret of a master user, and names it.
            _ => ("secretsmanager:{region}:{account}:secret:rds!*", When::Always),
        };
        self.grant(self.arn(template, region, ""), when, action);
    }

    /// To ask beforehand what is left of quotas, and IAM whether the caller may do all that: IAM has no resource that means "myself".
    fn preflight(&mut self, region: &str) {
        for action in [DEFAULT_QUOTA, SUMMARY] {
            self.grant("*", When::Always, action);
        }
        let quotas = self.arn("servicequotas:{region}:{account}:*", region, "");
        self.grant(quotas, When::Always, APPLIED_QUOTA);
        for template in ["iam::{account}:role/*", "iam::{account}:user/*"] {
            self.grant(self.arn(template, region, ""), When::Always, SIMULATE);
        }
    }

    /// As documents: what shares condition and actions is one statement.
    fn documents(self) -> Vec<Value> {
        let mut shared: BTreeMap<(BTreeSet<&str>, When), Vec<String>> = BTreeMap::new();
        for ((arn, when), actions) in self.all {
            let actions = actions.into_keys().collect();
            shared.entry((actions, when)).or_default().push(arn);
        }
        let mut documents: Vec<Vec<Value>> = vec![Vec::new()];
        let mut length = 0;
        for ((actions, when), arns) in shared {
            for arns in arns.chunks(MAX_RESOURCES) {
                let mut statement = json!({ "Effect": "Allow", "Action": actions, "Resource": arns });
                if let Some(condition) = when.condition(self.set) {
                    statement["Condition"] = condition;
                }
                let statement = policy::normal(&statement);
                let more = statement.to_string().len() + 1;
                if length + more > MAX_POLICY - FRAME {
                    documents.push(Vec::new());
                    length = 0;
                }
                length += more;
                if let Some(last) = documents.last_mut() {
                    last.push(statement);
                }
            }
        }
        documents
            .into_iter()
            .map(|statements| json!({ "Version": "2012-10-17", "Statement": statements }))
            .collect()
    }
}

/// `rds` of `rds:CreateDBInstance` and of `rds.DbInstance`.
fn service(of: &str) -> &str {
    of.split([':', '.']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::policies;
    use crate::kind::Kinds;
    use crate::roles;
    use platform_core::value::SetId;
    use platform_core::{PlannedWrite, Verb};
    use serde_json::{Value, json};

    const WRITES: [(&str, Verb); 6] = [
        ("aws/eu-west-1:kms.Key/ml-dev/data", Verb::Create),
        ("aws/eu-west-1:rds.DbInstance/ml-dev", Verb::Create),
        ("aws/eu-west-1:iam.Role/ml-dev-monitoring", Verb::Update),
        ("aws/eu-west-1:eks.Addon/ml-dev/vpc-cni", Verb::Delete),
        ("aws/eu-central-1:backup.Plan/ml-dev", Verb::Delete),
        ("aws/eu-west-1:sns.Topic/ml-dev", Verb::Release),
    ];

    fn statements(writes: &[(&str, Verb)]) -> Vec<Value> {
        let set = SetId::new("ml-dev-1").unwrap();
        let writes: Vec<PlannedWrite> = writes
            .iter()
            .map(|(id, verb)| PlannedWrite {
                id: id.parse().unwrap(),
                verb: *verb,
            })
            .collect();
        let documents = policies(Kinds::default(), "123456789012", &["eu-west-1"], &set, &writes);
        assert_eq!(
            documents,
            policies(Kinds::default(), "123456789012", &["eu-west-1"], &set, &writes)
        );
        for document in &documents {
            assert!(document.to_string().len() <= super::MAX_POLICY, "{document}");
        }
        let lists = documents
            .iter()
            .map(|document| document["Statement"].as_array().unwrap());
        lists.flatten().cloned().collect()
    }

    /// Where and when an action is allowed.
    fn grants(statements: &[Value], action: &str) -> Vec<(Vec<String>, Value)> {
        let list = |value: &Value| match value {
            Value::Array(items) => items.iter().map(|item| item.as_str().unwrap().to_owned()).collect(),
            one => vec![one.as_str().unwrap().to_owned()],
        };
        let with = statements
            .iter()
            .filter(|statement| list(&statement["Action"]).iter().any(|one| one == action));
        with.map(|statement| (list(&statement["Resource"]), statement["Condition"].clone()))
            .collect()
    }

    #[test]
    fn names_bind_where_they_can_and_tags_where_not() {
        let all = statements(&WRITES);
        let on =
            |arns: &[&str], when: Value| vec![(arns.iter().map(ToString::to_string).collect::<Vec<String>>(), when)];
        let owned = json!({"StringEquals": {"aws:ResourceTag/mlplat:set": "ml-dev-1"}});
        for (action, expected) in [
            (
                "kms:CreateKey",
                on(
                    &["*"],
                    json!({"StringEquals": {"aws:RequestTag/mlplat:set": "ml-dev-1"}}),
                ),
            ),
            (
                "rds:RebootDBInstance",
                on(&["arn:aws:rds:eu-west-1:123456789012:db:ml-dev"], Value::Null),
            ),
            (
                "iam:PutRolePolicy",
                on(
                    &[
                        "arn:aws:iam::123456789012:role/ml-dev-monitoring",
                        "arn:aws:iam::123456789012:role/mlplat/ml-dev-1/ml-dev-monitoring",
                    ],
                    Value::Null,
                ),
            ),
            (
                "iam:PassRole",
                on(
                    &["arn:aws:iam::123456789012:role/mlplat/ml-dev-1/*"],
                    json!({"StringEquals": {"iam:PassedToService": "monitoring.rds.amazonaws.com"}}),
                ),
            ),
            (
                "eks:DeleteAddon",
                on(
                    &[
                        "arn:aws:eks:eu-west-1:123456789012:addon/ml-dev/vpc-cni/*",
                        "arn:aws:eks:eu-west-1:123456789012:cluster/ml-dev",
                    ],
                    Value::Null,
                ),
            ),
            // Another set's plan is out of reach; what this set let go of is not.
            (
                "backup:DeleteBackupPlan",
                [
                    on(&["arn:aws:backup:eu-central-1:123456789012:backup-plan:*"], owned),
                    on(
                        &["arn:aws:backup:eu-central-1:123456789012:backup-plan:*"],
                        json!({"StringEquals": {"aws:ResourceTag/mlplat:retained-from": "ml-dev-1"}}),
                    ),
                ]
                .concat(),
            ),
            (
                "sns:TagResource",
                on(&["arn:aws:sns:eu-west-1:123456789012:ml-dev"], Value::Null),
            ),
            ("sns:Subscribe", Vec::new()),
            ("rds:DeleteDBInstance", Vec::new()),
            (
                "s3:PutObject",
                on(
                    &[
                        "arn:aws:s3:::mlplat-123456789012-eu-central-1-an/leases/ml-dev-1.json",
                        "arn:aws:s3:::mlplat-123456789012-eu-west-1-an/leases/ml-dev-1.json",
                    ],
                    Value::Null,
                ),
            ),
        ] {
            assert_eq!(grants(&all, action), expected, "{action}");
        }
    }

    #[test]
    fn a_plan_only_reads() {
        let all = statements(&[]);
        let read = ["Describe", "Get", "List"];
        for statement in &all {
            let actions = statement["Action"].to_string();
            let each = actions.trim_matches(['[', ']']).split(',');
            for action in each.map(|action| action.trim_matches('"').split_once(':').unwrap().1) {
                assert!(read.iter().any(|verb| action.starts_with(verb)), "{action}");
            }
        }
        assert_eq!(grants(&all, "secretsmanager:GetSecretValue"), Vec::new());
        assert_eq!(grants(&all, "rds:DescribeDBInstances").len(), 1);
    }

    #[test]
    fn roles_lie_where_policies_say() {
        assert_eq!(roles::path(&SetId::new("ml-dev-1").unwrap()), "/mlplat/ml-dev-1/");
    }
}
