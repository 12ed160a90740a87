//! moto and ministack on loopback, one pair for the whole binary, and one account a test.

use crate::between::between;
use crate::busy::Memory;
use crate::composites::Composites;
use crate::eks_server::Eks;
use crate::groups;
use crate::metered::Metered;
use crate::names::Names;
use crate::recorded::Recorder;
use crate::vaults::Vaults;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_types::retry::RetryConfig;
use aws_types::region::Region;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use futures::future::BoxFuture;
use platform_core::engine::Engine;
use platform_core::value::{Clock, SecretSource, SystemClock, Timestamp};
use provider_aws::{AwsProvider, SdkConfig};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xtask::peer::Python;
use xtask::proxy::{Proxy, Upstream};

/// A server that dies with this process: a shell waits at a pipe whose other end only we hold, and kills its child by
/// pid when the pipe closes, however we end.
#[derive(Debug)]
struct Server {
    url: String,
    _shell: Child,
    home: TempDir,
}

const KEEPER: &str = r#""$@" </dev/null & child=$!; read -r _ ; kill -KILL $child; wait; rm -rf -- "$HOME""#;

impl Server {
    fn start(
        program: &Path,
        arguments: &dyn Fn(u16) -> Vec<String>,
        variables: &dyn Fn(u16) -> Vec<(String, String)>,
    ) -> Self {
        // The port is free now and may be taken a moment later: then the next one.
        for _ in 0..5 {
            let port = TcpListener::bind(("127.0.0.1", 0))
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let home = tempfile::tempdir().unwrap();
            let log = File::create(home.path().join("log")).unwrap();
            let mut shell = Command::new("/bin/sh")
                .args(["-c", KEEPER, "keeper"])
                .arg(program)
                .args(arguments(port))
                // Nothing of the machine: no profile, no credentials, no proxy.
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .env("HOME", home.path())
                .envs(variables(port))
                .current_dir(home.path())
                .stdin(Stdio::piped())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            let until = Instant::now() + Duration::from_mins(1);
            while Instant::now() < until && shell.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self {
                        url: format!("http://127.0.0.1:{port}"),
                        _shell: shell,
                        home,
                    };
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            eprintln!("{}", std::fs::read_to_string(home.path().join("log")).unwrap());
        }
        panic!("{} does not start", program.display());
    }
}

fn servers() -> &'static (Server, Server) {
    static SERVERS: OnceLock<(Server, Server)> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let programs = Python::Aws
            .programs()
            .expect("cargo xtask test makes the emulators ready");
        std::thread::scope(|scope| {
            let moto = scope.spawn(|| {
                Server::start(
                    &programs.join("moto_server"),
                    &|port| vec!["-H".into(), "127.0.0.1".into(), "-p".into(), port.to_string()],
                    &|_| Vec::new(),
                )
            });
            let ministack = ministack(&[]);
            let moto = moto.join().unwrap();
            // Without its group moto shows a flow log as failed, and groups are ministack's.
            let target = "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Logs_20140328.CreateLogGroup";
            ask(
                &moto.url,
                "logs",
                "123456789012",
                "eu-west-1",
                target,
                r#"{"logGroupName": "k/flow"}"#,
            );
            (moto, ministack)
        })
    })
}

fn ministack(more: &[(&str, &str)]) -> Server {
    let programs = Python::Aws.programs().unwrap();
    Server::start(&programs.join("ministack"), &|_| Vec::new(), &|port| {
        let port = port.to_string();
        let own = [("BIND_HOST", "127.0.0.1"), ("GATEWAY_PORT", port.as_str())];
        let all = own.iter().chain(more);
        all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    })
}

/// A ministack that verifies signatures and asks IAM whether a caller may.
fn strict() -> &'static Server {
    static STRICT: OnceLock<Server> = OnceLock::new();
    STRICT.get_or_init(|| ministack(&[("AUTH", "true")]))
}

/// What both emulators have logged so far, of all accounts.
pub(crate) fn logs() -> String {
    let (moto, ministack) = servers();
    let read = |server: &Server| std::fs::read(server.home.path().join("log")).unwrap();
    [moto, ministack]
        .map(|server| String::from_utf8_lossy(&read(server)).into_owned())
        .concat()
}

/// What an emulator answers to one POST.
pub(crate) fn ask(url: &str, service: &str, account: &str, region: &str, headers: &str, body: &str) -> String {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST / HTTP/1.0\r\nHost: {host}\r\n{headers}\r\nContent-Length: {}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={account}/20261128/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}",
        body.len(),
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Which emulator answers for a service.
///
/// CloudWatch: moto, unless alarms are to be judged. Secrets Manager: moto, because ministack lets a reused ClientRequestToken overwrite a value. All else: ministack,
/// because moto drops the tags of a CreateBucket call and the rotation period of a key, and denies every S3 call over
/// plain HTTP once a bucket is TLS-only (it ignores the policy's Condition).
#[derive(Clone, Debug)]
struct Routes {
    moto: String,
    ministack: String,
    query: String,
    cloudwatch: String,
    s3: String,
    tagging: String,
    rds: String,
    eks: String,
    ec2: String,
    quotas: String,
}

impl Routes {
    /// Who answers for a service, by its id.
    fn of(&self, service: &str) -> &str {
        match service {
            "Secrets Manager" => &self.moto,
            "S3" => &self.s3,
            "CloudWatch" => &self.cloudwatch,
            "IAM" | "ElastiCache" | "SNS" => &self.query,
            "Resource Groups Tagging API" => &self.tagging,
            "RDS" => &self.rds,
            "EKS" => &self.eks,
            "EC2" => &self.ec2,
            "Service Quotas" => &self.quotas,
            _ => &self.ministack,
        }
    }
}

impl LoadServiceConfig for Routes {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        (key.env() == "AWS_ENDPOINT_URL").then(|| self.of(key.service_id()).to_owned())
    }
}

/// One endpoint for all.
#[derive(Debug)]
struct NoRoutes;

impl LoadServiceConfig for NoRoutes {
    fn load_config(&self, _key: ServiceConfigKey<'_>) -> Option<String> {
        None
    }
}

/// An account of its own. ministack keeps accounts apart by a 12-digit access key; moto has only 123456789012, so names
/// of secrets carry the account's number.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) region: &'static str,
    pub(crate) moto: Proxy,
    /// KMS and STS: their calls are all `POST /`.
    pub(crate) ministack: Proxy,
    /// Services that take forms and answer in XML.
    pub(crate) query: Proxy,
    /// On moto, since ministack leaves half of an alarm out of its XML.
    pub(crate) cloudwatch: Proxy,
    pub(crate) s3: Proxy,
    /// What ElastiCache knows beside what ministack does.
    pub(crate) cache: Memory,
    /// What AWS Backup knows beside what ministack does.
    pub(crate) vaults: Vaults,
    /// What S3 knows beside what ministack does.
    pub(crate) metered: Metered,
    whole: Option<(Names, Composites)>,
    /// What notes the calls.
    pub(crate) recorder: Option<Recorder>,
    pub(crate) tagging: Proxy,
    pub(crate) rds: Proxy,
    rds_on_moto: bool,
    pub(crate) eks: Proxy,
    pub(crate) eks_server: Eks,
    /// On moto, which knows overlapping addresses, rules that are there and rules that are not; ministack takes all.
    pub(crate) ec2: Proxy,
    pub(crate) clock: Arc<dyn Clock>,
    alarms_are_judged: bool,
    quotas_count: bool,
    /// Whose key calls are signed with; else the account's own.
    key: Option<(String, String)>,
}

impl Account {
    pub(crate) fn new() -> Self {
        Self::in_region("eu-west-1")
    }

    pub(crate) fn in_region(region: &'static str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(100_000_000_001);
        let (moto, ministack) = servers();
        let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let eks_server = Eks::start(&id, &moto.url);
        Self {
            id,
            region,
            moto: Proxy::start(Upstream::Http(moto.url.clone())).unwrap(),
            ministack: Proxy::start(Upstream::Http(ministack.url.clone())).unwrap(),
            query: Proxy::start(Upstream::Http(ministack.url.clone())).unwrap(),
            cloudwatch: Proxy::start(Upstream::Http(moto.url.clone())).unwrap(),
            s3: Proxy::start(Upstream::Http(ministack.url.clone())).unwrap(),
            cache: Memory::default(),
            vaults: Vaults::default(),
            metered: Metered::default(),
            whole: None,
            recorder: None,
            tagging: Proxy::start(Upstream::Http(ministack.url.clone())).unwrap(),
            rds: Proxy::start(Upstream::Http(ministack.url.clone())).unwrap(),
            rds_on_moto: false,
            eks: Proxy::start(Upstream::Http(eks_server.url().to_owned())).unwrap(),
            eks_server,
            ec2: Proxy::start(Upstream::Http(moto.url.clone())).unwrap(),
            clock: Arc::new(QuickClock(SystemClock::new(), 1)),
            alarms_are_judged: false,
            quotas_count: false,
            key: None,
        }
    }

    /// Lets moto tell what an account may have: few, for it has one account for all tests.
    pub(crate) fn with_quotas(mut self) -> Self {
        self.quotas_count = true;
        self
    }

    /// Lets a user without any policy call a ministack that asks IAM what callers may do; it answers for all but CloudWatch,
    /// RDS, EKS and EC2.
    pub(crate) async fn of_user(name: &str) -> (Self, aws_sdk_iam::Client) {
        let mut account = Self::new();
        let url = &strict().url;
        for proxy in [
            &mut account.moto,
            &mut account.ministack,
            &mut account.query,
            &mut account.s3,
            &mut account.tagging,
        ] {
            *proxy = Proxy::start(Upstream::Http(url.clone())).unwrap();
        }
        let root = account.config().to_builder().endpoint_url(url).build();
        let root = aws_sdk_iam::Client::new(&root.into_builder().service_config(NoRoutes).build());
        root.create_user().user_name(name).send().await.unwrap();
        let key = root.create_access_key().user_name(name).send().await.unwrap();
        let key = key.access_key.unwrap();
        account.key = Some((key.access_key_id, key.secret_access_key));
        (account, root)
    }

    /// Lets time run this much faster than on the wall.
    pub(crate) fn with_speed(mut self, factor: u32) -> Self {
        self.clock = Arc::new(QuickClock(SystemClock::new(), factor));
        self
    }

    /// Lets moto answer for RDS: it keeps more of what an instance is made with, ministack changes it more like AWS does.
    pub(crate) fn with_rds_on_moto(mut self) -> Self {
        self.rds = Proxy::start(Upstream::Http(servers().0.url.clone())).unwrap();
        self.rds_on_moto = true;
        self
    }

    /// Lets the services that two emulators answer for know each other's subnets, keys and alarms, so that a whole platform
    /// fits in.
    pub(crate) async fn whole(self) -> Self {
        let subnets = self.subnets_of(&servers().1.url);
        let mut account = self.with_rds_on_moto();
        let kms = aws_sdk_kms::config::Builder::from(&account.behind()).endpoint_url(&servers().0.url);
        let key = aws_sdk_kms::Client::from_conf(kms.build())
            .create_key()
            .send()
            .await
            .unwrap();
        let key = key.key_metadata.unwrap().arn.unwrap();
        let composites = Composites::at(&servers().1.url);
        account.whole = Some((Names::new(subnets, key), composites));
        account
    }

    /// Makes a log group where the flow logs of networks look for one.
    pub(crate) fn log_group_of_flows(&self, name: &str) {
        let target = "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Logs_20140328.CreateLogGroup";
        let body = serde_json::json!({ "logGroupName": name }).to_string();
        ask(&servers().0.url, "logs", &self.id, self.region, target, &body);
    }

    /// Subnets of two zones that whoever answers for RDS knows.
    pub(crate) fn subnets(&self) -> Vec<String> {
        let (moto, ministack) = servers();
        let url = if self.rds_on_moto { &moto.url } else { &ministack.url };
        self.subnets_of(url).into_iter().take(2).collect()
    }

    fn subnets_of(&self, url: &str) -> Vec<String> {
        let form = "Content-Type: application/x-www-form-urlencoded";
        let body = "Action=DescribeSubnets&Version=2016-11-15";
        let answer = ask(url, "ec2", &self.id, self.region, form, body);
        let ids = answer.split("<subnetId>").skip(1);
        ids.map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }

    /// Lets ministack answer for CloudWatch, which judges alarms and knows composite ones.
    pub(crate) fn with_judged_alarms(mut self) -> Self {
        self.alarms_are_judged = true;
        self.cloudwatch = Proxy::start(Upstream::Http(servers().1.url.clone())).unwrap();
        self
    }

    /// What the library is given: through the proxies.
    pub(crate) fn config(&self) -> SdkConfig {
        let config = self.sdk(Routes {
            moto: self.moto.url().to_owned(),
            ministack: self.ministack.url().to_owned(),
            query: self.query.url().to_owned(),
            cloudwatch: self.cloudwatch.url().to_owned(),
            s3: self.s3.url().to_owned(),
            tagging: self.tagging.url().to_owned(),
            rds: self.rds.url().to_owned(),
            eks: self.eks.url().to_owned(),
            ec2: self.ec2.url().to_owned(),
            quotas: self.quotas().to_owned(),
        });
        match &self.recorder {
            Some(recorder) => {
                let http = recorder.around(config.http_client().unwrap());
                config.to_builder().http_client(http).build()
            }
            None => config,
        }
    }

    /// What somebody else uses behind our back: past the proxies.
    pub(crate) fn behind(&self) -> SdkConfig {
        self.sdk(self.past_the_proxies())
    }

    fn past_the_proxies(&self) -> Routes {
        let (moto, ministack) = servers();
        Routes {
            moto: moto.url.clone(),
            ministack: ministack.url.clone(),
            query: ministack.url.clone(),
            cloudwatch: if self.alarms_are_judged {
                &ministack.url
            } else {
                &moto.url
            }
            .clone(),
            s3: ministack.url.clone(),
            tagging: ministack.url.clone(),
            rds: if self.rds_on_moto {
                moto.url.clone()
            } else {
                ministack.url.clone()
            },
            eks: self.eks_server.url().to_owned(),
            ec2: moto.url.clone(),
            quotas: self.quotas().to_owned(),
        }
    }

    /// Nobody's quotas, unless they are counted: ministack knows none.
    fn quotas(&self) -> &str {
        let (moto, ministack) = servers();
        if self.quotas_count { &moto.url } else { &ministack.url }
    }

    fn sdk(&self, routes: Routes) -> SdkConfig {
        let (key, secret) = match &self.key {
            Some((key, secret)) => (key.as_str(), secret.as_str()),
            None => (self.id.as_str(), "secret"),
        };
        let http = aws_smithy_http_client::Builder::new().build_http();
        // Buckets let nothing pass that did not come by TLS.
        let http = if self.key.is_some() {
            between(http, |wire, mut request| {
                request.headers_mut().insert("x-forwarded-proto", "https");
                wire.call(request)
            })
        } else {
            http
        };
        let http = match &self.whole {
            Some((names, composites)) => composites.around(names.around(http)),
            None => http,
        };
        let http = self.metered.around(self.vaults.around(self.cache.around(http)));
        let config = SdkConfig::builder()
            .region(Region::new(self.region))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                key, secret, None, None, "test",
            )))
            .service_config(routes)
            .http_client(http.clone())
            .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(Duration::from_millis(20)),
            )
            .behavior_version(BehaviorVersion::latest())
            .build();
        let ec2 = aws_sdk_ec2::config::Builder::from(&config).endpoint_url(&servers().0.url);
        let http = groups::held(aws_sdk_ec2::Client::from_conf(ec2.build()), http);
        config.into_builder().http_client(http).build()
    }

    /// Where each service answers, past the proxies, by boto's names.
    pub(crate) fn endpoints(&self) -> BTreeMap<&'static str, String> {
        let routes = self.past_the_proxies();
        let of = |(name, id): (&'static str, &str)| (name, routes.of(id).to_owned());
        [
            ("backup", "Backup"),
            ("cloudwatch", "CloudWatch"),
            ("ec2", "EC2"),
            ("eks", "EKS"),
            ("elasticache", "ElastiCache"),
            ("events", "EventBridge"),
            ("iam", "IAM"),
            ("kms", "KMS"),
            ("logs", "CloudWatch Logs"),
            ("rds", "RDS"),
            ("s3", "S3"),
            ("secretsmanager", "Secrets Manager"),
            ("sns", "SNS"),
        ]
        .map(of)
        .into()
    }

    pub(crate) fn kms(&self) -> aws_sdk_kms::Client {
        aws_sdk_kms::Client::new(&self.behind())
    }

    pub(crate) fn s3_client(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::config::Builder::from(&self.behind())
                .force_path_style(true)
                .build(),
        )
    }

    pub(crate) fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.behind())
    }

    pub(crate) fn rds_client(&self) -> aws_sdk_rds::Client {
        aws_sdk_rds::Client::new(&self.behind())
    }

    pub(crate) fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        aws_sdk_cloudwatch::Client::new(&self.behind())
    }

    pub(crate) fn ec2_client(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.behind())
    }

    pub(crate) fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.behind())
    }

    pub(crate) fn provider(&self) -> AwsProvider {
        self.provider_by(&self.config())
    }

    /// The same by a config with something between it and the wire.
    pub(crate) fn provider_by(&self, config: &SdkConfig) -> AwsProvider {
        AwsProvider::from_config(config, Arc::clone(&self.clock))
            .unwrap()
            .with_kinds(provider_aws_network::kinds())
    }

    /// The same account in another region.
    pub(crate) fn provider_in(&self, region: &str) -> AwsProvider {
        let config = self
            .config()
            .to_builder()
            .region(Region::new(region.to_owned()))
            .build();
        AwsProvider::from_config(&config, Arc::clone(&self.clock)).unwrap()
    }

    pub(crate) fn supplied(&self, source: Arc<dyn SecretSource>) -> AwsProvider {
        self.provider().with_secrets(source)
    }

    pub(crate) fn engine_of(&self, provider: AwsProvider, holder: &str) -> Engine {
        Engine::builder(Arc::clone(&self.clock))
            .provider(Arc::new(provider))
            .holder(holder)
            .lease_ttl(Duration::from_secs(30))
            .build()
    }

    pub(crate) fn engine(&self, holder: &str) -> Engine {
        self.engine_of(self.provider(), holder)
    }

    /// Requests that the proxies saw since they were last asked to forget, and those that are answered before them.
    pub(crate) fn requests(&self) -> usize {
        let seen: usize = self.proxies().iter().map(|proxy| proxy.calls().len()).sum();
        seen + self.metered.requests()
    }

    /// How often each operation was asked for meanwhile.
    pub(crate) fn operations(&self) -> BTreeMap<String, usize> {
        let calls = self.proxies().map(Proxy::calls).into_iter().flatten();
        calls.fold(BTreeMap::new(), |mut all, call| {
            let what = call
                .operation
                .unwrap_or_else(|| format!("{} {}", call.method, call.path));
            *all.entry(what).or_default() += 1;
            all
        })
    }

    pub(crate) fn forget(&self) {
        for proxy in self.proxies() {
            proxy.forget_calls();
        }
        self.metered.forget();
    }

    pub(crate) fn proxies(&self) -> [&Proxy; 9] {
        [
            &self.moto,
            &self.ministack,
            &self.query,
            &self.cloudwatch,
            &self.s3,
            &self.tagging,
            &self.rds,
            &self.eks,
            &self.ec2,
        ]
    }
}

/// The machine's clock, faster: leases run out and pauses end in a fraction of their time.
#[derive(Debug)]
struct QuickClock(SystemClock, u32);

impl Clock for QuickClock {
    fn now(&self) -> Timestamp {
        // Whatever the factor, it begins at the machine's time.
        let start = self.0.now().seconds() - i64::try_from(self.0.elapsed().as_secs()).unwrap();
        Timestamp::from_seconds(start).plus(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed() * self.1
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration / self.1)
    }
}
