//! The demo as a test of everything at once: it holds where the service is right, and does not where it is wrong.

use syncline_sandbox::FaultProfile;
use syncline_server::demo::{Demo, Flaw, Report, Settings};

async fn report(faults: FaultProfile, flaw: Option<Flaw>) -> Report {
    let demo = Demo::start(Settings { contacts: 40, seed: 7, faults, flaw }).await.expect("the demo starts");
    let linked = demo.link(|_| {}).await.expect("the accounts are linked");
    let report = demo.perform(&linked, |_| {}).await.expect("the play ends");
    demo.stop().await.expect("the demo stops");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_holds_on_a_normal_day() {
    let report = report(FaultProfile::Usual, None).await;
    assert!(report.ok, "{:#?}", report.complaints());
    assert_eq!((report.linked, report.linked_expected), (56, 56));
    assert!(report.verdict.edits > 100 && report.conflicts > 0 && report.merges > 0 && report.echoes > 0);
    assert!(report.epochs > 0, "no history was long enough to begin anew");
    assert!(!report.faults.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_holds_in_a_storm_and_over_restarts() {
    let report = report(FaultProfile::Storm, None).await;
    assert!(report.ok, "{:#?}", report.complaints());
    assert_eq!(report.restarts, 3);
    assert!(report.held > 0 && report.passed <= 8 && report.held + report.passed >= report.vanished, "{report:#?}");
    assert!(report.faults.len() > 20, "a storm has every fault: {:?}", report.faults);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_brings_nothing_to_one_account_is_found() {
    let report = report(FaultProfile::Off, Some(Flaw::DeafField)).await;
    assert!(!report.ok);
    assert!(report.verdict.differences > 0, "{:#?}", report.complaints());
    let about_the_field = |finding: &String| finding.starts_with("different: title of ");
    assert!(report.verdict.findings.iter().any(about_the_field), "{:#?}", report.verdict.findings);
}
