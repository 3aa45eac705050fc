//! Accounts from the environment and the profile files. A process has only one environment, so each case
//! runs this test binary again as a child with exactly the variables of the case.

use std::path::PathBuf;
use std::process::Command;

use bedrock::{Account, Service, Settings, Transport};
use serde_json::{Value, json};

use crate::accounts::{KEY_ID, SECRET, unary};
use crate::judge::verified;
use crate::recorder::{self, Recorder};

const CHILD: &str = "environment::child_reports_its_account";
const MARK: &str = "ACCOUNT ";
const IS_CHILD: &str = "OUTCROP_TEST_CHILD";

/// Runs in the children. Run by itself it is a parent, and checks that a child answers at all.
#[tokio::test]
async fn child_reports_its_account() {
    if std::env::var_os(IS_CHILD).is_none() {
        assert_eq!(account(&[("AWS_REGION", "eu-north-1")])["region"], "eu-north-1");
        return;
    }
    let setup = Settings {
        region: std::env::var("TEST_REGION").ok(),
        profile: std::env::var("TEST_PROFILE").ok(),
        ..Settings::default()
    };
    let report = match Account::load(setup).await {
        Err(error) => json!({ "error": error.to_string() }),
        Ok(account) if std::env::var_os("TEST_SEND").is_some() => {
            let sent = Transport::new(&account).send(unary()).await.map(|answer| answer.status);
            json!({ "sent": format!("{sent:?}") })
        }
        Ok(account) => json!({
            "region": account.region(),
            "source": account.credential_source().to_string(),
            "endpoints": Service::ALL.map(|service| account.endpoint(service).to_string()),
            "debug": format!("{account:?}"),
        }),
    };
    println!("{MARK}{report}");
}

fn account(variables: &[(&str, &str)]) -> Value {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture"])
        .env_clear()
        .env(IS_CHILD, "1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent/config")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report = text.lines().find_map(|line| line.split_once(MARK)).map(|(_, report)| report);
    let report = report.unwrap_or_else(|| panic!("no report: {text}{:?}", output.stderr));
    serde_json::from_str(report).unwrap()
}

fn urls(hosts: [&str; 9]) -> Value {
    json!(hosts.map(|host| format!("https://{host}")))
}

const FIPS: (&str, &str) = ("AWS_USE_FIPS_ENDPOINT", "true");
const DUAL: (&str, &str) = ("AWS_USE_DUALSTACK_ENDPOINT", "true");

/// Region, settings, and the host of every service.
type Hosts = (&'static str, &'static [(&'static str, &'static str)], [&'static str; 9]);

const HOSTS: [Hosts; 6] = [
    (
        "us-east-1",
        &[],
        [
            "bedrock-runtime.us-east-1.amazonaws.com",
            "bedrock.us-east-1.amazonaws.com",
            "bedrock-agent-runtime.us-east-1.amazonaws.com",
            "bedrock-agent.us-east-1.amazonaws.com",
            "bedrock-mantle.us-east-1.api.aws",
            "bedrock-agentcore.us-east-1.amazonaws.com",
            "bedrock-agentcore-control.us-east-1.amazonaws.com",
            "bedrock-data-automation.us-east-1.amazonaws.com",
            "bedrock-data-automation-runtime.us-east-1.amazonaws.com",
        ],
    ),
    (
        "us-west-2",
        &[FIPS],
        [
            "bedrock-runtime-fips.us-west-2.amazonaws.com",
            "bedrock-fips.us-west-2.amazonaws.com",
            "bedrock-agent-runtime-fips.us-west-2.amazonaws.com",
            "bedrock-agent-fips.us-west-2.amazonaws.com",
            "bedrock-mantle-fips.us-west-2.api.aws",
            "bedrock-agentcore-fips.us-west-2.amazonaws.com",
            "bedrock-agentcore-control-fips.us-west-2.amazonaws.com",
            "bedrock-data-automation-fips.us-west-2.amazonaws.com",
            "bedrock-data-automation-runtime-fips.us-west-2.amazonaws.com",
        ],
    ),
    (
        "eu-west-1",
        &[DUAL],
        [
            "bedrock-runtime.eu-west-1.api.aws",
            "bedrock.eu-west-1.api.aws",
            "bedrock-agent-runtime.eu-west-1.api.aws",
            "bedrock-agent.eu-west-1.api.aws",
            "bedrock-mantle.eu-west-1.api.aws",
            "bedrock-agentcore.eu-west-1.api.aws",
            "bedrock-agentcore-control.eu-west-1.api.aws",
            "bedrock-data-automation.eu-west-1.api.aws",
            "bedrock-data-automation-runtime.eu-west-1.api.aws",
        ],
    ),
    (
        "us-east-1",
        &[FIPS, DUAL],
        [
            "bedrock-runtime-fips.us-east-1.api.aws",
            "bedrock-fips.us-east-1.api.aws",
            "bedrock-agent-runtime-fips.us-east-1.api.aws",
            "bedrock-agent-fips.us-east-1.api.aws",
            "bedrock-mantle-fips.us-east-1.api.aws",
            "bedrock-agentcore-fips.us-east-1.api.aws",
            "bedrock-agentcore-control-fips.us-east-1.api.aws",
            "bedrock-data-automation-fips.us-east-1.api.aws",
            "bedrock-data-automation-runtime-fips.us-east-1.api.aws",
        ],
    ),
    (
        "us-gov-west-1",
        &[],
        [
            "bedrock-runtime.us-gov-west-1.amazonaws.com",
            "bedrock.us-gov-west-1.amazonaws.com",
            "bedrock-agent-runtime.us-gov-west-1.amazonaws.com",
            "bedrock-agent.us-gov-west-1.amazonaws.com",
            "bedrock-mantle.us-gov-west-1.api.aws",
            "bedrock-agentcore.us-gov-west-1.amazonaws.com",
            "bedrock-agentcore-control.us-gov-west-1.amazonaws.com",
            "bedrock-data-automation.us-gov-west-1.amazonaws.com",
            "bedrock-data-automation-runtime.us-gov-west-1.amazonaws.com",
        ],
    ),
    (
        "cn-north-1",
        &[],
        [
            "bedrock-runtime.cn-north-1.amazonaws.com.cn",
            "bedrock.cn-north-1.amazonaws.com.cn",
            "bedrock-agent-runtime.cn-north-1.amazonaws.com.cn",
            "bedrock-agent.cn-north-1.amazonaws.com.cn",
            "bedrock-mantle.cn-north-1.api.amazonwebservices.com.cn",
            "bedrock-agentcore.cn-north-1.amazonaws.com.cn",
            "bedrock-agentcore-control.cn-north-1.amazonaws.com.cn",
            "bedrock-data-automation.cn-north-1.amazonaws.com.cn",
            "bedrock-data-automation-runtime.cn-north-1.amazonaws.com.cn",
        ],
    ),
];

#[test]
fn hosts_follow_region_partition_fips_and_dual_stack() {
    for (region, settings, hosts) in HOSTS {
        let report = account(&[&[("AWS_REGION", region)], settings].concat());
        assert_eq!(report["endpoints"], urls(hosts), "{region} {settings:?}: {report}");
        assert_eq!(report["region"], region);
    }
}

#[test]
fn the_region_is_found_in_the_documented_order() {
    let file =
        temporary("region", "[default]\nregion = profile-1\n[profile dev]\nregion = dev-1\n");
    let all = [
        ("TEST_REGION", "given-1"),
        ("AWS_REGION", "first-1"),
        ("AWS_DEFAULT_REGION", "second-1"),
        ("AWS_REGION_NAME", "third-1"),
        ("AWS_CONFIG_FILE", file.path.to_str().unwrap()),
    ];
    let expected = ["given-1", "first-1", "second-1", "third-1", "profile-1"];
    for (skip, expected) in expected.into_iter().enumerate() {
        assert_eq!(account(&all[skip..])["region"], expected);
    }
    let named = [all[4], ("TEST_PROFILE", "dev")];
    assert_eq!(account(&named)["region"], "dev-1");
    let report = account(&[]);
    assert!(report["error"].as_str().unwrap().contains("AWS_REGION"), "{report}");
}

#[test]
fn endpoint_overrides_are_found_like_the_sdk_finds_them() {
    let region = ("AWS_REGION", "us-east-1");
    let own = [
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:1/base/"),
        ("AWS_ENDPOINT_URL_BEDROCK", "http://127.0.0.1:2"),
        ("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME", "http://127.0.0.1:3"),
        ("AWS_ENDPOINT_URL_BEDROCK_AGENT", "http://127.0.0.1:4"),
        ("AWS_ENDPOINT_URL_BEDROCK_MANTLE", "http://127.0.0.1:5"),
        ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", "http://127.0.0.1:6"),
        ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL", "http://127.0.0.1:7"),
        ("AWS_ENDPOINT_URL_BEDROCK_DATA_AUTOMATION", "http://127.0.0.1:8"),
        ("AWS_ENDPOINT_URL_BEDROCK_DATA_AUTOMATION_RUNTIME", "http://127.0.0.1:10"),
    ];
    let common = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let ours = [
        "http://127.0.0.1:1/base",
        "http://127.0.0.1:2",
        "http://127.0.0.1:3",
        "http://127.0.0.1:4",
        "http://127.0.0.1:5",
        "http://127.0.0.1:6",
        "http://127.0.0.1:7",
        "http://127.0.0.1:8",
        "http://127.0.0.1:10",
    ];
    let report = account(&[&[region, common], &own[..]].concat());
    assert_eq!(report["endpoints"], json!(ours), "{report}");

    let report = account(&[region, common, own[1]]);
    let mut expected = [common.1; 9];
    expected[1] = own[1].1;
    assert_eq!(report["endpoints"], json!(expected), "{report}");

    let ignore = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    let report = account(&[&[region, common, ignore], &own[..]].concat());
    assert_eq!(report["endpoints"][0], "https://bedrock-runtime.us-east-1.amazonaws.com");
    assert_eq!(report["endpoints"][3], "https://bedrock-agent.us-east-1.amazonaws.com");

    let report = account(&[region, own[0], ("AWS_USE_FIPS_ENDPOINT", "true")]);
    assert!(report["error"].as_str().unwrap().contains("FIPS"), "{report}");
}

#[test]
fn a_profiles_services_section_counts() {
    let file = temporary(
        "services",
        "[profile dev]\nregion = us-east-1\nservices = local\nendpoint_url = http://127.0.0.1:9\n\
         [services local]\nbedrock_runtime =\n  endpoint_url = http://127.0.0.1:5/x\n\
         bedrock-agent =\n  endpoint_url = http://127.0.0.1:6\n",
    );
    let path = file.path.to_str().unwrap();
    let report = account(&[("AWS_CONFIG_FILE", path), ("AWS_PROFILE", "dev")]);
    let mut expected = ["http://127.0.0.1:9"; 9];
    (expected[0], expected[3]) = ("http://127.0.0.1:5/x", "http://127.0.0.1:6");
    assert_eq!(report["endpoints"], json!(expected), "{report}");
    assert_eq!(report["source"], "profile dev");
}

#[test]
fn the_source_of_credentials_is_named_and_no_secret_shown() {
    let region = ("AWS_REGION", "us-east-1");
    let keys = [("AWS_ACCESS_KEY_ID", "AKIDX"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let bearer = ("AWS_BEARER_TOKEN_BEDROCK", "hunter3");
    let irsa = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token");
    let pod = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials");
    let file = temporary(
        "secrets",
        "[profile dev]\naws_access_key_id = AKIDX\naws_secret_access_key = hunter4\n",
    );
    let profile = [("AWS_CONFIG_FILE", file.path.to_str().unwrap()), ("TEST_PROFILE", "dev")];
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&profile, "profile dev"),
        (&[], "default profile or instance role"),
        (&keys, "environment"),
        (&[keys[0], keys[1], bearer], "bearer key"),
        (&[bearer], "bearer key"),
        (&[irsa], "web identity (IRSA)"),
        (&[pod], "container (task role or Pod Identity)"),
    ];
    for (variables, expected) in cases {
        let report = account(&[&[region], variables].concat());
        assert_eq!(report["source"], expected, "{report}");
        let debug = report["debug"].as_str().unwrap();
        assert!(!debug.contains("hunter"), "{debug}");
    }
}

#[tokio::test]
async fn calls_carry_the_credentials_of_the_environment() {
    let server = Recorder::answering(recorder::json("{}")).await;
    let file = temporary(
        "keys",
        &format!("[dev]\naws_access_key_id = AKIDFILE\naws_secret_access_key = {SECRET}\n"),
    );
    let keys = [("AWS_ACCESS_KEY_ID", KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let bearer = ("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-X");
    let session = ("AWS_SESSION_TOKEN", "session/X==");
    let profile =
        [("AWS_SHARED_CREDENTIALS_FILE", file.path.to_str().unwrap()), ("AWS_PROFILE", "dev")];
    let mut seen = Vec::new();
    for variables in
        [&keys[..], &[keys[0], keys[1], session], &[keys[0], keys[1], bearer], &profile]
    {
        let base = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url.as_str()),
            ("TEST_SEND", "1"),
        ];
        let owned: Vec<(String, String)> = [&base, variables]
            .concat()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let report = tokio::task::spawn_blocking(move || {
            let variables: Vec<_> = owned.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            account(&variables)
        });
        let report = report.await.unwrap();
        assert_eq!(report["sent"], "Ok(200)", "{report}");
        seen.push(server.take_only());
    }
    assert_eq!(verified(&seen[0], SECRET).access_key_id, KEY_ID);
    assert_eq!(verified(&seen[1], SECRET).access_key_id, KEY_ID);
    assert_eq!(seen[1].header("x-amz-security-token"), Some("session/X=="));
    assert_eq!(seen[2].header("authorization"), Some("Bearer bedrock-api-key-X"));
    assert_eq!(verified(&seen[3], SECRET).access_key_id, "AKIDFILE");
}

/// A file that is removed with its owner.
struct Temporary {
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn temporary(name: &str, content: &str) -> Temporary {
    let path = std::env::temp_dir().join(format!("outcrop-{name}-{}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    Temporary { path }
}
