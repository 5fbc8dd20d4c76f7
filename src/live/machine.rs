//! What this process uses of its machine, and may use.

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

/// User and system time of this process so far, seconds; 0 where the system does not tell.
pub fn cpu_seconds() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        [usage.user_time(), usage.system_time()]
            .iter()
            .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
            .sum()
    })
}

/// Niceness of a run: what comes late in the client is taken for the server's delay.
const NICENESS: i32 = -10;

/// Asks to be scheduled before ordinary programs. Systems that do not let us say no, and the run's own
/// measures of its delays say what that costs.
pub fn raise_priority() {
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// Allows as many open files as the system lets us: each connection is one. How many those are.
pub fn raise_file_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return u64::MAX };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

/// Processes that run or want to, averaged over the last minute; `None` where the system does not tell.
pub fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
