//! What the system says of this process: memory, processor time, open files.

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};

/// What is known of the process; what the system does not tell is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    /// Bytes of memory that are resident.
    pub(super) resident_bytes: Option<u64>,
    /// Seconds of processor time, in the program and in the system for it.
    pub(super) cpu_seconds: Option<f64>,
    /// Files and connections that are open.
    pub(super) open_files: Option<usize>,
    /// How many may be open.
    pub(super) most_files: Option<u64>,
}

impl Process {
    /// As it is now.
    pub(super) fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).ok();
        Self {
            resident_bytes: text("/proc/self/status").as_deref().and_then(resident),
            cpu_seconds: text("/proc/self/stat").as_deref().and_then(cpu),
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
            most_files: getrlimit(Resource::Nofile).current,
        }
    }
}

/// `VmRSS:     1234 kB`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Fields 14 and 15 of proc(5), in ticks. The second field is a name in parentheses
/// that may hold anything.
#[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three million years")]
fn cpu(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) as f64 / clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_of_this_process() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{process:?}");
        assert!(process.cpu_seconds.is_some_and(|seconds| seconds >= 0.0), "{process:?}");
        assert!(process.open_files.is_some_and(|files| files > 2), "{process:?}");
    }

    #[test]
    fn a_name_with_parentheses_hides_nothing() {
        let ticks = clock_ticks_per_second();
        let stat = format!("7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 {ticks} {ticks} 0 0 20 0");
        assert_eq!(cpu(&stat), Some(2.0));
        assert_eq!(cpu("nonsense"), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t     12 kB\n"), Some(12_288));
    }
}
