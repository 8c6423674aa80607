use syncline_sandbox::{FaultProfile, Population, Sandbox, SandboxConfig, SandboxError};
use tokio::net::TcpStream;

fn config(seed: u64) -> SandboxConfig {
    let contacts = Population::messy().sized(300, 200);
    SandboxConfig { seed, contacts, faults: FaultProfile::Off, hubspot: None, ..SandboxConfig::default() }
}

/// The whole state of a fresh org.
async fn state(seed: u64) -> String {
    let sandbox = Sandbox::start(config(seed)).await.unwrap();
    let running = sandbox.salesforce.as_ref().unwrap();
    let url = format!("{}/state?object=Contact", running.admin_url);
    let rows = reqwest::get(url).await.unwrap().text().await.unwrap();
    format!("{:?} {rows}", running.credentials)
}

#[tokio::test]
async fn a_seed_repeats_everything() {
    let first = state(7).await;
    assert_eq!(first, state(7).await);
    assert_ne!(first, state(8).await);
}

#[tokio::test]
async fn shutting_down_frees_the_address_and_a_taken_one_is_named() {
    let sandbox = Sandbox::start(config(1)).await.unwrap();
    let addr = sandbox.salesforce.as_ref().unwrap().addr;
    let again = SandboxConfig { salesforce: Some(addr), ..config(1) };
    let SandboxError::Listen { provider, addr: taken, .. } = Sandbox::start(again).await.unwrap_err();
    assert_eq!((provider, taken), ("salesforce", addr));
    sandbox.shutdown().await;
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn usual_faults_leave_users_alone() {
    let config = SandboxConfig { faults: FaultProfile::Storm, time_scale: 0.0, ..config(1) };
    let sandbox = Sandbox::start(config).await.unwrap();
    let running = sandbox.salesforce.as_ref().unwrap();
    let http = reqwest::Client::new();
    let url = format!("{}/services/data/v60.0/sobjects/Contact", running.base_url);
    for number in 0..100 {
        let body = serde_json::json!({ "LastName": format!("Lee {number}") });
        let answer = http.post(&url).bearer_auth(&running.credentials.user_token).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }
}
