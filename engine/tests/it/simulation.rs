//! The whole engine in a simulated world, seed by seed: partitions, resets, slow
//! links, receivers that fail, outages of the store, crashes, and what people do
//! by hand. `CALLBOARD_SIMULATION_SEED` runs one seed alone, with a trace.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use callboard_domain::clock::{Clock as _, SystemClock};
use parking_lot::Mutex;

mod judge;
mod network;
mod pace;
mod plan;
mod receiver;
mod record;
mod store;
mod timeline;
mod weather;
mod wire;
mod world;

use judge::Tally;

/// Seeds of a usual run.
const SEEDS: u64 = 2_000;

/// Seeds that are run twice, to see that both are the same.
const TWICE: u64 = 40;

/// A figure of the environment.
#[expect(clippy::disallowed_methods, reason = "settings of tests are no settings of the program")]
fn figure(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_happens_nothing_is_lost_and_everything_is_in_order() {
    if let Some(seed) = figure("CALLBOARD_SIMULATION_SEED") {
        let run = world::run(seed, true);
        println!("{:#?}", plan::Plan::draw(seed));
        println!("{}", run.trace.join("\n"));
        run.verdict.unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        return;
    }
    let first = figure("CALLBOARD_SIMULATION_FIRST").unwrap_or(0);
    let count = figure("CALLBOARD_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (next, clock) = (AtomicU64::new(first), SystemClock::new());
    let (total, faults) = (Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= first + count {
            return;
        }
        match world::run(seed, false).verdict {
            Ok(tally) => *total.lock() += tally,
            Err(fault) => faults.lock().push((seed, fault)),
        }
    };
    thread::scope(|scope| {
        // Each waits for its database now and then; the other goes on meanwhile.
        for _ in 0..2 * thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut faults = faults.into_inner();
    faults.sort();
    println!("simulation: {count} seeds in {:.1} s, {:?}", clock.elapsed().as_secs_f64(), total.lock());
    for (seed, fault) in faults.iter().take(20) {
        println!("simulation: seed {seed}: {fault} (CALLBOARD_SIMULATION_SEED={seed} runs it alone)");
    }
    assert!(faults.is_empty(), "{} seeds of {count} failed", faults.len());
}

#[test]
fn a_seed_is_the_same_each_time() {
    for seed in 0..TWICE {
        let (one, other) = (world::run(seed, true), world::run(seed, true));
        let differ = one.trace.iter().zip(&other.trace).find(|(one, other)| one != other);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(one.trace.len(), other.trace.len(), "seed {seed}");
    }
}
