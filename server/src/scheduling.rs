//! How the system shares its processors out to the server's threads.

use preempt_rt::sched::{Pid, Scheduler, SchedulerParams, get_scheduler, set_scheduler};

/// Makes a batch thread, in the words of sched(7), of this thread and of those that it
/// starts from now on: one that was waited for does not interrupt who is running. On a
/// processor that is free nothing changes. On one that is not, fewer switches are made
/// and more is done at a time: see
/// docs/decisions/0024-threads-do-not-interrupt-each-other.md.
///
/// Where somebody has chosen otherwise for the process, or the system refuses it, it
/// stays as it is.
pub fn batch() {
    let this = Pid::current_thread();
    if !matches!(get_scheduler(this), Ok(Scheduler::SCHED_NORMAL)) {
        return;
    }
    if let Err(error) = set_scheduler(this, Scheduler::SCHED_BATCH, SchedulerParams { priority: 0 }) {
        tracing::debug!(%error, "threads are scheduled as the system does by itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_what_it_starts_become_batch_threads() {
        let policies = std::thread::spawn(|| {
            batch();
            let started = std::thread::spawn(|| get_scheduler(Pid::current_thread()));
            [get_scheduler(Pid::current_thread()), started.join().expect("a policy")]
        });
        for policy in policies.join().expect("policies") {
            assert_eq!(policy.expect("a policy"), Scheduler::SCHED_BATCH);
        }
    }
}
