//! `timing.json`: the one file of a run that may differ from time to time.

use serde::Serialize;
use std::fs;
use std::time::Instant;

/// What a run cost on this machine.
#[derive(Serialize)]
pub struct Timing {
    kvroute_version: &'static str,
    wall_seconds: f64,
    /// User and system time of the whole process; null where the system does not tell.
    cpu_seconds: Option<f64>,
    /// Peak resident memory of the whole process; null where the system does not tell.
    peak_memory_bytes: Option<u64>,
    host_cores: usize,
    threads: usize,
}

/// A clock started with the run.
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "timing.json is about the wall clock")]
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// What was used so far.
    pub fn timing(&self, threads: usize) -> Timing {
        Timing {
            kvroute_version: env!("CARGO_PKG_VERSION"),
            wall_seconds: self.0.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds(),
            peak_memory_bytes: peak_memory_bytes(),
            host_cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads,
        }
    }
}

impl Timing {
    /// One line for the terminal.
    pub fn line(&self) -> String {
        let cpu = self.cpu_seconds.map_or(String::new(), |cpu| format!(", {cpu:.2} s of CPU"));
        let memory = self
            .peak_memory_bytes
            .map_or(String::new(), |bytes| format!(", {:.0} MB", bytes as f64 / 1e6));
        format!("{:.2} s{cpu}{memory}", self.wall_seconds)
    }
}

/// Fields 14 and 15 of /proc/self/stat, in ticks of 1/100 s (fixed for user space on Linux).
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}

fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
