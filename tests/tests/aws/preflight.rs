//! What is refused before the first write: rights, as an independent simulator of IAM judges them and as ministack enforces
//! them; and quotas.

use crate::between::{fields, over};
use crate::emulators::Account;
use crate::policies::{KINDS, name, scripted, stack, writing};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use platform_core::engine::{Approvals, Engine, PlanRequest};
use platform_core::value::{ResourceId, SetId};
use platform_core::{ErrorKind, Finding, PlannedWrite, Provider, Resource, Verb};
use provider_aws::{Aws, AwsOptions, AwsProvider};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex};

/// IAM's policy simulator for one user, played by iam-simulate in a process of its own.
#[derive(Debug)]
struct Simulator {
    node: Child,
    pipes: (ChildStdin, BufReader<ChildStdout>),
    _script: tempfile::NamedTempFile,
    account: String,
    policies: Vec<Value>,
    /// Questions that it could not decide.
    unclear: BTreeSet<String>,
    calls: usize,
    asked: usize,
}

impl Simulator {
    fn start(account: &str) -> Arc<Mutex<Self>> {
        let (script, mut node) = scripted(include_str!("simulator.mjs"));
        let pipes = (node.stdin.take().unwrap(), BufReader::new(node.stdout.take().unwrap()));
        Arc::new(Mutex::new(Self {
            node,
            pipes,
            _script: script,
            account: account.to_owned(),
            policies: Vec::new(),
            unclear: BTreeSet::new(),
            calls: 0,
            asked: 0,
        }))
    }

    fn user(&self) -> String {
        format!("arn:aws:iam::{}:user/deployer", self.account)
    }

    /// The answer to a form; `None` for calls that something else answers.
    fn answer(&mut self, form: &str) -> Option<String> {
        let fields = fields(form);
        match fields.get("Action")?.as_str() {
            "GetCallerIdentity" => Some(format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{}</Arn><UserId>AIDA</UserId><Account>{}</Account>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>",
                self.user(),
                self.account
            )),
            "SimulatePrincipalPolicy" => Some(self.simulate(&fields)),
            _ => None,
        }
    }

    fn simulate(&mut self, fields: &BTreeMap<String, String>) -> String {
        let list = |name: &str| -> Vec<String> {
            let prefix = format!("{name}.member.");
            let members = fields.iter().filter(|(key, _)| key.starts_with(&prefix));
            members.map(|(_, value)| value.clone()).collect()
        };
        let context = (1..).map_while(|n| {
            let key = fields.get(&format!("ContextEntries.member.{n}.ContextKeyName"))?;
            let value = fields.get(&format!("ContextEntries.member.{n}.ContextKeyValues.member.1"))?;
            Some((key.clone(), json!(value)))
        });
        self.calls += 1;
        assert_eq!(fields["PolicySourceArn"], self.user());
        let question = json!({
            "account": self.account, "policies": self.policies, "principal": self.user(),
            "actions": list("ActionNames"), "arns": list("ResourceArns"),
            "context": context.collect::<serde_json::Map<_, _>>(),
        });
        writeln!(self.pipes.0, "{question}").unwrap();
        let mut line = String::new();
        self.pipes.1.read_line(&mut line).unwrap();
        let answers: Vec<Value> = serde_json::from_str(&line).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut results = String::new();
        for action in list("ActionNames") {
            let mut each = String::new();
            for answer in answers.iter().filter(|answer| answer["action"] == action.as_str()) {
                self.asked += 1;
                if answer["unclear"] == true {
                    self.unclear.insert(format!("{action} on {}", text(&answer["arn"])));
                }
                let missing = answer["missing"].as_array().unwrap().iter();
                let missing: Vec<String> = missing.map(|key| format!("<member>{}</member>", text(key))).collect();
                let _ = write!(
                    each,
                    "<member><EvalResourceName>{}</EvalResourceName><EvalResourceDecision>{}</EvalResourceDecision>\
                     <MissingContextValues>{}</MissingContextValues></member>",
                    text(&answer["arn"]),
                    text(&answer["decision"]),
                    missing.concat()
                );
            }
            let _ = write!(
                results,
                "<member><EvalActionName>{action}</EvalActionName><EvalDecision>implicitDeny</EvalDecision>\
                 <ResourceSpecificResults>{each}</ResourceSpecificResults></member>"
            );
        }
        format!(
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>\
             <EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        )
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

fn without(policies: &[Value], action: &str) -> Vec<Value> {
    let mut policies = policies.to_vec();
    for statement in policies
        .iter_mut()
        .flat_map(|policy| policy["Statement"].as_array_mut().unwrap())
    {
        let actions = match &statement["Action"] {
            Value::Array(actions) => actions.iter().filter(|one| *one != action).cloned().collect(),
            one if one == action => Vec::new(),
            one => vec![one.clone()],
        };
        // A statement without actions is not one.
        statement["Action"] = if actions.is_empty() {
            json!(["sts:GetCallerIdentity"])
        } else {
            json!(actions)
        };
    }
    policies
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_found_before_the_first_write() {
    let account = Account::new();
    let simulator = Simulator::start(&account.id);
    let judge = Arc::clone(&simulator);
    let config = over(&account.config(), move |wire, request| {
        let form = std::str::from_utf8(request.body().bytes().unwrap_or_default());
        let answer = form.ok().and_then(|form| judge.lock().unwrap().answer(form));
        match answer {
            Some(answer) => HttpConnectorFuture::ready(Ok(HttpResponse::new(
                StatusCode::try_from(200).unwrap(),
                SdkBody::from(answer),
            ))),
            None => wire.call(request),
        }
    });
    let provider = AwsProvider::from_config(&config, Arc::clone(&account.clock))
        .unwrap()
        .with_kinds(provider_aws_network::kinds());
    let stack = stack(&account.id);
    let set = SetId::new("k000-dev-1").unwrap();
    let (mut noticed, mut unnoticed) = (0, BTreeSet::new());
    for verb in [Verb::Create, Verb::Update, Verb::Adopt, Verb::Release, Verb::Delete] {
        for (kind, ..) in KINDS {
            let id: ResourceId = format!("aws/{}:{kind}/{}", account.region, name(kind)).parse().unwrap();
            // A role of the same plan, to be given away.
            let role = format!("aws/{}:iam.Role/k000-role", account.region).parse().unwrap();
            let writes = [PlannedWrite::new(id, verb), PlannedWrite::new(role, Verb::Create)];
            let policies = stack.policies(&set, &writes);
            let findings = async |policies: Vec<Value>| -> Vec<Finding> {
                simulator.lock().unwrap().policies = policies;
                provider.preflight(&set, &writes).await.unwrap()
            };
            assert_eq!(findings(policies.clone()).await, Vec::new(), "{verb:?} {kind}");
            for action in writing(kind, verb) {
                let found = findings(without(&policies, action)).await;
                if found.iter().any(|finding| finding.message.contains(action)) {
                    noticed += 1;
                } else {
                    unnoticed.insert(format!("{verb:?} {action}"));
                }
            }
        }
    }
    let simulator = simulator.lock().unwrap();
    println!(
        "{noticed} missing rights noticed, {} calls with {} questions, {} of them on the wrong sort of object",
        simulator.calls,
        simulator.asked,
        simulator.unclear.len()
    );
    // What a service asks for, or does on behalf of the caller, is not asked; of what is there already, an object's own
    // policy may say more.
    let of_creates: Vec<&str> = unnoticed
        .iter()
        .filter_map(|call| call.strip_prefix("Create "))
        .collect();
    assert_eq!(
        of_creates,
        [
            "iam:CreateServiceLinkedRole",
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKey",
            "kms:RetireGrant"
        ]
    );
    assert!(noticed > 300, "{noticed}");
}

/// A bucket, a topic and a log group: what ministack's policies tell apart, which know no tags of resources.
fn small(account: &Account, set: &SetId) -> PlanRequest {
    let resource = |kind: &str, desired: Value| {
        let id: ResourceId = format!("aws/{}:{kind}/u{}-dev-data", account.region, account.id)
            .parse()
            .unwrap();
        Resource::new(id, "storage", desired)
    };
    PlanRequest {
        resources: vec![
            resource("s3.Bucket", json!({})),
            resource("sns.Topic", json!({})),
            resource("logs.LogGroup", json!({"retention_days": "30"})),
        ],
        ..PlanRequest::destroy(set.clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emitted_policy_suffices_and_one_right_less_is_refused_unwritten() {
    let (account, root) = Account::of_user("deployer").await;
    let set = SetId::of(&format!("u{}", account.id), "dev", "");
    let grant = async |policies: &[Value]| {
        for (at, policy) in policies.iter().enumerate() {
            root.put_user_policy()
                .user_name("deployer")
                .policy_name(format!("p{at}"))
                .policy_document(policy.to_string())
                .send()
                .await
                .unwrap();
        }
    };
    // ministack takes these for questions about everything.
    let ask = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "sns:ListTagsForResource", "sns:TagResource", "sns:UntagResource"], "Resource": "*"}]});
    root.put_user_policy()
        .user_name("deployer")
        .policy_name("ask")
        .policy_document(ask.to_string())
        .send()
        .await
        .unwrap();
    let stack = Aws::from_config(&account.config())
        .unwrap()
        .with_options(AwsOptions::new(&account.id))
        .unwrap();
    let engine: Engine = account.engine("ci");
    let (up, down) = (small(&account, &set), PlanRequest::destroy(set.clone()));
    grant(&stack.policies(&set, &[])).await;
    let plan = engine.plan(&up).await.unwrap();
    let enough = stack.policies(&set, &plan.writes());
    for missing in [
        "s3:PutBucketVersioning",
        "sns:CreateTopic",
        "logs:PutRetentionPolicy",
        "s3:PutObject",
    ] {
        grant(&without(&enough, missing)).await;
        account.forget();
        let refused = engine.apply(&plan, &Approvals::none(), &mut |_| {}).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Forbidden, "{}", refused.report());
        assert!(refused.to_string().contains(missing), "{refused}");
        let calls = account.proxies().into_iter().flat_map(xtask::proxy::Proxy::calls);
        let writes: Vec<String> = calls
            .map(|call| format!("{call:?}"))
            .filter(|call| call.contains("PUT "))
            .collect();
        assert_eq!(writes, Vec::<String>::new(), "{missing}");
        assert_eq!(engine.plan(&up).await.unwrap().writes().len(), 3, "{missing}");
    }
    grant(&enough).await;
    let report = engine.apply(&plan, &Approvals::none(), &mut |_| {}).await.unwrap();
    assert!(report.is_success(), "{report:?}");
    assert!(engine.plan(&up).await.unwrap().is_empty());
    let plan = engine.plan(&down).await.unwrap();
    grant(&stack.policies(&set, &plan.writes())).await;
    engine.apply(&plan, &Approvals::none(), &mut |_| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_found_before_the_first_write() {
    // A region of moto's that no other test makes networks in: it lets everybody have five VPCs, and has one.
    let account = Account::in_region("sa-east-1").with_quotas();
    let client = account.ec2_client();
    let provider = account.provider();
    let set = SetId::new("q-dev-1").unwrap();
    let writes = ["a", "b", "c"].map(|name| {
        let id = format!("aws/sa-east-1:ec2.Vpc/q-dev-{name}").parse().unwrap();
        PlannedWrite::new(id, Verb::Create)
    });
    for (others, fit) in [(1, true), (1, false)] {
        for _ in 0..others {
            client.create_vpc().cidr_block("10.9.0.0/16").send().await.unwrap();
        }
        let findings = provider.preflight(&set, &writes).await.unwrap();
        assert_eq!(findings.is_empty(), fit, "{findings:?}");
        if let [finding] = &findings[..] {
            assert_eq!(finding.id.as_ref(), Some(&writes[2].id));
            assert!(
                finding.message.contains("3 more VPCs") && finding.message.contains("3 of 5"),
                "{finding:?}"
            );
            assert!(finding.help.contains("L-F678F1CE"), "{finding:?}");
        }
    }
}
