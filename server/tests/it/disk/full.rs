//! A disk that is really full: a small file system of its own, where the
//! machine lets a test make one.

use std::process::Stdio;

use tokio::process::Command;

use super::{Home, Process, assert_reads_only, assert_recovered, event, events, make_webhook};
use crate::process::connection::Connection;
use crate::process::hearer::{Hearer, Manner};

/// Mounts a file system of 40 MiB, most of it taken by a filler, where the
/// process works, seen by nobody else, and becomes the program.
const ON_A_SMALL_DISK: &str = "mount -t tmpfs -o size=40m none \"$0\" && cd \"$0\" && \
     dd if=/dev/zero of=filler bs=1M count=32 2>/dev/null && exec \"$@\"";

/// How a command gets mounts of its own: as root, or as root of a world in
/// which it is alone.
const WORLDS: [&[&str]; 2] = [&["--mount"], &["--mount", "--map-root-user"]];

/// How often in a row everything has to be refused: while the log is written
/// back into the file, a little room comes and goes.
const REFUSALS: usize = 20;

fn on_a_small_disk(home: &Home, world: &[&str], command: &Command) -> Command {
    let inner = command.as_std();
    let mut outer = Command::new("unshare");
    outer
        .args(world)
        .args(["sh", "-c", ON_A_SMALL_DISK])
        .arg(home.path(""))
        .arg(inner.get_program())
        .args(inner.get_args())
        // The program refuses variables that it does not know, such as those of the tests.
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    outer
}

/// The first of [`WORLDS`] that this machine allows.
async fn allowed(home: &Home) -> Option<&'static [&'static str]> {
    for world in WORLDS {
        let tried = on_a_small_disk(home, world, &Command::new("true")).output().await;
        if tried.is_ok_and(|output| output.status.success()) {
            return Some(world);
        }
    }
    None
}

/// Publishes until neither an event nor a beat of the heart can be written.
/// Returns how many events were accepted.
async fn fill(process: &Process) -> usize {
    let mut connection = Connection::open(process.address).await.expect("a connection");
    let (mut accepted, mut refusals, mut count) = (0, 0, 200);
    while refusals < REFUSALS {
        let batch = events(&format!("fill-{accepted}-{count}"), count);
        if connection.publish(&batch).await.expect("an answer").status == 202 {
            accepted += count;
            refusals = 0;
        } else if count > 1 {
            // A smaller request may still fit.
            count /= 2;
        } else if process.get("/readyz").await.status == 503 {
            refusals += 1;
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_survived_and_room_is_used_at_once() {
    let home = Home::on_sqlite();
    let Some(world) = allowed(&home).await else {
        println!("skipped: a full disk (this machine lets nobody mount a small one)");
        return;
    };
    let hearer = Hearer::start(&[("/hook", Manner::Prompt)]).await;
    let process = Process::start(on_a_small_disk(&home, world, &home.server())).await;
    process.until_ready().await;
    let webhook = make_webhook(&process, &hearer).await;
    process.post("/v1/events", &event("first")).await.is(202);
    let accepted = 1 + fill(&process).await;
    assert!(accepted > 1_000, "{accepted}");
    assert_reads_only(&process, &webhook, "first").await;
    let filler = format!("/proc/{}/cwd/filler", process.pid());
    std::fs::remove_file(filler).expect("the filler goes");
    assert_recovered(&process, &hearer, &webhook, accepted).await;
    println!("full disk: {accepted} events were accepted before it was full, and each came once");
    process.stop().await;
}
