//! The program as a process of its own: started, asked, signalled, ended.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use callboard_domain::clock::Clock;
use callboard_testing::TestDatabase;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) mod connection;
pub(crate) mod database;
pub(crate) mod hearer;
pub(crate) mod line;
pub(crate) mod load;
pub(crate) mod publisher;

use connection::Answer;

/// The operator's token of every process that is given one.
pub(crate) const TOKEN: &str = "the-operator-of-the-tests";

/// Longest wait for anything that is bound to happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// How long to wait between two looks at something that sends no signal.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A folder in which processes run, one after the other, on one database.
pub(crate) struct Home {
    folder: TempDir,
    /// Where it is not `callboard.db` in the folder.
    server: Option<TestDatabase>,
}

impl Home {
    /// On the database that is chosen for the tests.
    pub(crate) fn new() -> Self {
        let chosen = TestDatabase::chosen();
        Self { server: chosen.is_postgres().then_some(chosen), ..Self::on_sqlite() }
    }

    /// For what is about the file.
    pub(crate) fn on_sqlite() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), server: None }
    }

    /// For what is about a server.
    pub(crate) fn on_postgres() -> Self {
        Self { server: Some(TestDatabase::postgres()), ..Self::on_sqlite() }
    }

    /// The URL of the database on a server, if it is on one.
    pub(crate) fn server_url(&self) -> Option<&str> {
        self.server.as_ref().map(TestDatabase::url)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these arguments, and nothing of our own environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callboard"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("TMPDIR", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// A server that may call loopback, on a free port.
    pub(crate) fn server(&self) -> Command {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("CALLBOARD_ADMIN_TOKEN", TOKEN).env("CALLBOARD_EGRESS_ALLOW", "127.0.0.0/8");
        if let Some(url) = self.server_url() {
            command.env("CALLBOARD_DATABASE", url);
        }
        command
    }

    /// Starts a server and waits until it is ready.
    pub(crate) async fn serve(&self) -> Process {
        let process = Process::start(self.server()).await;
        process.until_ready().await;
        process
    }

    /// Runs the program to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        output(self.command(arguments)).await
    }
}

/// Runs a command to its end, which has to come.
pub(crate) async fn output(mut command: Command) -> Output {
    timeout(PATIENCE, command.output()).await.expect("the command ends").expect("the command runs")
}

/// What a command wrote, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running server.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Every line that it has written to standard error.
    log: watch::Receiver<Vec<String>>,
}

impl Process {
    /// Starts it, and waits until it says where it listens.
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let log = follow(child.stderr.take().expect("standard error"));
        let line = line(&log, "listening").await;
        let told = ["address=", "\"address\":\""].iter().find_map(|before| line.split(before).nth(1));
        let address = told.and_then(|rest| rest.split([' ', '"']).next());
        let address = address.and_then(|text| text.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address in {line:?}")), log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("a process that has not ended")
    }

    fn rustix_pid(&self) -> Pid {
        Pid::from_raw(self.pid().try_into().expect("a small number")).expect("not zero")
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Waits for a line of its log.
    pub(crate) async fn line(&self, part: &str) -> String {
        line(&self.log, part).await
    }

    /// Asks for `path` on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        connection::get(self.address, path).await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Posts JSON on a connection of its own.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let posted = connection::post(self.address, path, body).await;
        posted.unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Makes a webhook and returns its id.
    pub(crate) async fn make_webhook(&self, settings: &Value) -> String {
        let made = self.post("/v1/webhooks", settings).await.is(201);
        made["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until `/readyz` answers 200.
    pub(crate) async fn until_ready(&self) {
        until("it is ready", async || (self.get("/readyz").await.status == 200).then_some(())).await;
    }

    /// Waits until nothing of these webhooks is pending or waiting.
    pub(crate) async fn until_drained(&self, webhooks: &[&str]) {
        for id in webhooks {
            let path = format!("/v1/webhooks/{id}/stats");
            until("nothing is queued", async || (self.get(&path).await.is(200)["queued"] == 0).then_some(()))
                .await;
        }
    }

    /// The deliveries of a webhook that are in one of these states, at most
    /// 200.
    pub(crate) async fn deliveries(&self, webhook: &str, states: &str) -> Vec<Value> {
        let path = format!("/v1/webhooks/{webhook}/deliveries?limit=200&state={states}");
        self.get(&path).await.is(200)["items"].as_array().expect("items").clone()
    }

    /// Ends it with SIGKILL, which it can't notice.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it could be killed");
    }

    /// Lets it do nothing until [`Self::resume`], and notice nothing of that. Waits
    /// until each of its threads stands still.
    pub(crate) async fn pause(&self) {
        rustix::process::kill_process(self.rustix_pid(), Signal::STOP).expect("it runs");
        let threads = format!("/proc/{}/task", self.pid());
        until("it stands still", async || {
            let mut threads = std::fs::read_dir(&threads).expect("its threads");
            let stands_still = |thread: std::io::Result<std::fs::DirEntry>| {
                let stat = std::fs::read_to_string(thread.expect("a thread").path().join("stat"));
                stat.expect("a state").rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
            };
            threads.all(stands_still).then_some(())
        })
        .await;
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        rustix::process::kill_process(self.rustix_pid(), Signal::CONT).expect("it is there");
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        rustix::process::kill_process(self.rustix_pid(), Signal::TERM).expect("it runs");
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it can be waited for")
    }

    /// Asks it to stop, and insists that it does so without a fault.
    pub(crate) async fn stop(self) {
        self.stop_and(|_| ()).await;
    }

    /// Like [`Self::stop`], and judges all that it has logged.
    pub(crate) async fn stop_and(self, judge: impl FnOnce(&[String])) {
        self.terminate();
        let log = self.log.clone();
        let status = self.ended().await;
        assert!(status.success(), "{status}: {:#?}", log.borrow().clone());
        judge(&log.borrow());
    }

    /// Lets it write files only up to `bytes`; `None` lifts the limit.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(Some(self.rustix_pid()), Resource::Fsize, limit).expect("a limit");
    }

    /// Memory resident now, and at most so far, in MiB.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a status");
        let mebibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of it");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1_024
        };
        (mebibytes("VmRSS:"), mebibytes("VmHWM:"))
    }
}

/// Collects the lines of an output as they come.
fn follow(output: impl AsyncRead + Unpin + Send + 'static) -> watch::Receiver<Vec<String>> {
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|seen| seen.push(line));
        }
    });
    receiver
}

async fn line(log: &watch::Receiver<Vec<String>>, part: &str) -> String {
    let mut log = log.clone();
    let there = |lines: &Vec<String>| lines.iter().any(|line| line.contains(part));
    let found = timeout(PATIENCE, log.wait_for(there)).await.is_ok_and(|found| found.is_ok());
    let lines = log.borrow().clone();
    // Otherwise it ended, or has nothing to say.
    assert!(found, "no line with {part:?} in: {lines:#?}");
    lines.into_iter().find(|line| line.contains(part)).expect("the line that was found")
}

/// Looks again and again until `look` finds what it looks for: for what sends
/// no signal that could be waited for.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        let mut pause = tokio::time::interval(BETWEEN_LOOKS);
        loop {
            pause.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("did not come to pass: {what}"))
}

/// A figure of the environment that makes a test longer, or its usual value.
#[expect(clippy::disallowed_methods, reason = "settings of tests are no settings of the program")]
pub(crate) fn figure(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().expect(variable))
}

/// A number that differs from run to run, for tests that print it.
pub(crate) fn seed() -> u64 {
    let now = callboard_domain::clock::SystemClock::new().now();
    u64::try_from(now.as_microsecond()).expect("a time after 1970")
}

/// The bytes that a file takes; none when there is no such file.
pub(crate) fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
