//! `callboard bench`: each scenario, at sizes that take no time, runs to its
//! end and reports; what it would find says nothing here.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::process::Stdio;

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::time::timeout;

use crate::process::{Home, PATIENCE, text, until};

/// As small as it gets.
const TINY: [&str; 15] = [
    "bench",
    "--rounds",
    "1",
    "--seconds",
    "0.1",
    "--connections",
    "4",
    "--webhooks-of-others",
    "200",
    "--log-deliveries",
    "400",
    "--pending",
    "100",
    "--sick-webhooks",
    "6",
];

/// Runs scenarios, and returns what was said on standard output.
async fn bench(home: &Home, more: &[&str]) -> String {
    let output = home.run(&[&TINY[..], more].concat()).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(files(home), [""; 0]);
    text(&output.stdout)
}

/// The names of what is in the folder for temporary files.
fn files(home: &Home) -> Vec<String> {
    let files = std::fs::read_dir(home.path("")).expect("a folder").flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
}

/// Runs one scenario, and returns its report.
async fn report(name: &str) -> Value {
    let told = bench(&Home::new(), &["--json", "--scenario", name]).await;
    let report: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(report["conditions"]["rounds"], 1);
    let scenarios = report["scenarios"].as_array().expect("scenarios");
    assert_eq!(scenarios.len(), 1, "{told}");
    scenarios[0].clone()
}

/// Insists that a report has these sides, each with these figures, and results
/// of these names.
fn assert_reports(report: &Value, sides: &[&str], figures: &[&str], results: &[&str]) {
    let names = |list: &str| -> Vec<String> {
        let items = report[list].as_array().expect(list).iter();
        items.map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("sides"), sides, "{report:#}");
    assert_eq!(names("results"), results, "{report:#}");
    for side in report["sides"].as_array().expect("sides") {
        for figure in figures {
            let positive = |figures: &Value| figures[figure].as_f64().is_some_and(|value| value > 0.0);
            assert!(positive(&side["medians"]), "{figure}: {side:#}");
            assert!(side["rounds"].as_array().expect("rounds").iter().all(positive), "{figure}: {side:#}");
        }
    }
    let mut met = true;
    for result in report["results"].as_array().expect("results") {
        assert!(result["value"].is_number(), "{result:#}");
        assert_eq!(result["aim"].as_object().expect("an aim").len(), 1, "{result:#}");
        met &= result["met"].as_bool().expect("a judgement");
    }
    assert_eq!(report["met"], met, "{report:#}");
}

const RATE: [&str; 3] = ["deliveries_per_second", "accepted_events_per_second", "publish_p99_ms"];

#[tokio::test]
async fn the_relay_is_what_is_measured_when_nothing_else_is_asked_for() {
    let told = bench(&Home::new(), &["--json"]).await;
    let report: Value = serde_json::from_str(&told).expect("JSON");
    assert_reports(&report["scenarios"][0], &["relay", "callboard"], &RATE, &["deliveries_ratio"]);
    assert_eq!(report["scenarios"][0]["scenario"], "relay");
    assert_eq!(report["ratio"], report["scenarios"][0]["results"][0]["value"]);
    for side in ["relay", "callboard"] {
        assert!(report[side]["median_deliveries_per_second"].as_f64().is_some_and(|rate| rate > 0.0));
        assert_eq!(report[side]["rounds"].as_array().expect("rounds").len(), 1);
    }
}

#[tokio::test]
async fn rates_are_compared() {
    let found = report("fan_out").await;
    assert_reports(&found, &["relay", "callboard"], &RATE, &["deliveries_ratio"]);
    let round = &found["sides"][1]["rounds"][0];
    assert_eq!(round["deliveries"].as_u64(), round["events"].as_u64().map(|events| events * 10));
    let found = report("batches").await;
    assert_reports(&found, &["single", "arrays"], &RATE, &["accepted_events_ratio"]);
    assert_eq!(found["sides"][1]["rounds"][0]["events"].as_u64().map(|events| events % 100), Some(0));
}

#[tokio::test]
async fn waits_are_measured() {
    let found = report("half_rate").await;
    assert_reports(&found, &["highest", "half"], &["publish_p50_ms", "publish_p99_ms"], &["publish_p99_ms"]);
    let way = ["end_to_end_p50_ms", "end_to_end_p99_ms", "events"];
    let found = report("latency").await;
    assert_reports(&found, &["callboard"], &way, &["end_to_end_p99_ms"]);
    let found = report("isolation").await;
    let results = ["dead_endpoints_p99_ratio", "backlog_p99_ratio"];
    assert_reports(&found, &["alone", "dead", "backlog"], &way, &results);
    assert!(found["sides"][1]["medians"]["neighbour_deliveries"].as_u64().is_some_and(|count| count >= 6));
}

#[tokio::test]
async fn full_databases_are_compared_with_empty_ones() {
    for name in ["other_webhooks", "long_log", "backlog"] {
        let found = report(name).await;
        assert_reports(&found, &["empty", "full"], &RATE, &["deliveries_ratio"]);
        assert!(found["facts"]["ready_full_ms"].as_f64().is_some_and(|time| time > 0.0), "{found:#}");
    }
}

#[tokio::test]
async fn old_deliveries_are_deleted_while_others_are_published() {
    let found = report("retention").await;
    let results = ["publish_p99_ratio", "free_share"];
    assert_reports(&found, &["without", "deleting"], &["publish_p99_ms", "events"], &results);
    for fact in ["deletion_seconds", "deleted_deliveries_per_second", "files_before_mib", "files_after_mib"] {
        assert!(found["facts"][fact].as_f64().is_some_and(|value| value > 0.0), "{fact}: {found:#}");
    }
}

#[tokio::test]
async fn the_footprint_is_measured_and_told_in_words() {
    let home = Home::new();
    let told = bench(&home, &["--scenario", "footprint", "--folder", "."]).await;
    for part in ["footprint: ", "idle ", "full_load ", "program holds symbols 1", "; the aim is below 200"] {
        assert!(told.contains(part), "{part:?} is missing in:\n{told}");
    }
    assert_eq!(told.matches("; the aim is").count(), 4, "{told}");
}

#[tokio::test]
async fn scenarios_are_listed_and_wrong_ones_refused() {
    let home = Home::new();
    let listed = bench(&home, &["--list"]).await;
    assert_eq!(listed.lines().count(), 13, "{listed}");
    for name in ["relay", "fan_out", "half_rate", "other_webhooks", "footprint", "pages", "nodes"] {
        assert!(listed.lines().any(|line| line.starts_with(name)), "{name}: {listed}");
    }
    let refused = home.run(&["bench", "--scenario", "speed"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("half_rate"), "{refused:?}");
    for (flag, value) in [("--rounds", "0"), ("--seconds", "0"), ("--pending", "1"), ("--sick-webhooks", "0")]
    {
        let refused = home.run(&["bench", flag, value]).await;
        assert_eq!(refused.status.code(), Some(1), "{flag}");
    }
}

#[tokio::test]
async fn a_fault_is_told_and_leaves_no_files() {
    let home = Home::new();
    std::fs::write(home.path("callboard.toml"), "[delivery]\nlane_capacity = 0\n").expect("a file");
    let output = home.run(&[&TINY[..], &["--scenario", "latency"]].concat()).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = text(&output.stderr);
    assert!(complaint.contains("latency: the part ended early"), "{complaint}");
    assert_eq!(files(&home), ["callboard.toml"]);
}

#[tokio::test]
async fn one_that_is_stopped_leaves_no_files() {
    let home = Home::new();
    let mut command = home.command(&["bench", "--scenario", "long_log", "--log-deliveries", "100000000"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    until("it has files", async || (!files(&home).is_empty()).then_some(())).await;
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
    rustix::process::kill_process(pid, Signal::TERM).expect("it runs");
    let status = timeout(PATIENCE, child.wait()).await.expect("it ends").expect("it can be waited for");
    assert_eq!(status.code(), Some(1), "{status}");
    assert_eq!(files(&home), [""; 0]);
}
