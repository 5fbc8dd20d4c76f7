//! Does this machine keep up, and are the clocks right?

use super::super::finding::{Check, Finding};
use super::{ms, number};
use crate::live::health;
use crate::stats;
use crate::units::Nanos;

/// Wall clocks that differ by more than this make logs hard to compare, seconds.
const SKEW_S: f64 = 1.0;
/// A wall clock that was moved by more than this, seconds, beyond what its discipline may do.
const STEP_S: f64 = 0.005;
/// How fast a disciplined clock may gain or lose, seconds per second.
const SLEW: f64 = 0.0005;

/// What was seen of this machine while prompts were sent.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// How late timers were, nanoseconds.
    pub loop_delays: Vec<u64>,
    /// Processes that want to run, over the last minute.
    pub load_average: Option<f64>,
    /// Processors.
    pub cores: usize,
    /// Arrivals carry the kernel's time, and the longest wait of bytes before they were read.
    pub read_lag: Option<Nanos>,
    /// Some answer came.
    pub answered: bool,
    /// Time that passed by the monotonic clock, and how much more by the wall clock, seconds.
    pub passed_s: f64,
    pub stepped_s: f64,
    /// Least time between making of a KV event and its arrival, by the two wall clocks, seconds.
    pub event_delays_s: Vec<f64>,
}

/// Both of them.
pub fn check(client: &Client) -> Vec<Finding> {
    vec![machine(client), clock(client)]
}

fn machine(client: &Client) -> Finding {
    let check = Check::Client;
    let mut delays: Vec<f64> = client.loop_delays.iter().map(|delay| *delay as f64).collect();
    delays.sort_unstable_by(f64::total_cmp);
    let late = Nanos(stats::quantile(&delays, 0.9) as u64);
    let cores = client.cores;
    if late.0 as f64 / 1e6 > health::LOOP_DELAY_MS {
        return Finding::warn(
            check,
            format!("one timer in ten was {} late or more", ms(late)),
            "this machine is busy, sleeps deeply or is a small virtual one: what comes late here is taken \
             for the server's delay",
            "leave the machine to kvroute, or take another; set its CPU governor to performance",
        );
    }
    if let Some(load) = client.load_average.filter(|load| *load > cores as f64) {
        return Finding::warn(
            check,
            format!("{} processes want to run on {cores} processors", number(load)),
            "this machine is busy: what comes late here is taken for the server's delay",
            "leave the machine to kvroute; run servers elsewhere, or on processors of their own (taskset)",
        );
    }
    if client.answered && client.read_lag.is_none() {
        return Finding::warn(
            check,
            "the kernel does not say when bytes arrived",
            "this system has no receive time stamps: latencies contain our own delays",
            "measure from Linux; keep the client's load low",
        );
    }
    let lag = client.read_lag.map(|lag| format!(", bytes read within {}", ms(lag)));
    let seen = format!("timers within {}{}", ms(late), lag.unwrap_or_default());
    Finding::pass(check, format!("{seen}, {cores} processors"))
}

fn clock(client: &Client) -> Finding {
    let check = Check::Clock;
    let moved = client.stepped_s;
    if moved.abs() > STEP_S + SLEW * client.passed_s {
        return Finding::warn(
            check,
            format!(
                "the wall clock moved {} ms against the monotonic one within {} s",
                number(moved * 1e3),
                number(client.passed_s)
            ),
            "it was set, or the machine was suspended: the kernel's receive times are by that clock, and \
             latencies are wrong by as much",
            "let NTP settle before measuring (chronyc tracking); look for two of them that disagree",
        );
    }
    let off = |delay: &&f64| **delay < -0.01 || **delay > SKEW_S;
    if let Some(delay) = client.event_delays_s.iter().find(off) {
        return Finding::warn(
            check,
            format!("a worker's clock differs from ours by {} s", number(*delay)),
            "one of the two is wrong; latencies are by our clock alone and stay right, but times in logs \
             cannot be compared",
            "let NTP set both",
        );
    }
    Finding::pass(check, "steady")
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Status;
    use super::*;

    fn calm() -> Client {
        Client {
            loop_delays: vec![100_000; 50],
            load_average: Some(0.5),
            cores: 2,
            read_lag: Some(Nanos(50_000)),
            answered: true,
            passed_s: 3.0,
            stepped_s: 0.0001,
            event_delays_s: vec![0.002],
        }
    }

    #[test]
    fn a_calm_machine_with_a_steady_clock_is_well() {
        assert!(check(&calm()).iter().all(|found| found.status == Status::Pass));
    }

    #[test]
    fn each_trouble_has_its_sentence() {
        type Harm = fn(&mut Client);
        let cases: &[(Harm, &str)] = &[
            (|client| client.loop_delays = vec![20_000_000; 10], "20 ms late"),
            (|client| client.load_average = Some(3.5), "3.5 processes want to run on 2"),
            (|client| client.read_lag = None, "does not say when bytes arrived"),
            (|client| client.stepped_s = -0.25, "moved -250 ms"),
            (|client| client.event_delays_s = vec![0.002, -7.5], "differs from ours by -7.5 s"),
        ];
        for (harm, sentence) in cases {
            let mut client = calm();
            harm(&mut client);
            let found = check(&client);
            let troubled: Vec<_> =
                found.iter().filter(|found| found.status == Status::Warn).collect();
            assert_eq!(troubled.len(), 1, "{found:?}");
            assert!(troubled[0].seen.contains(sentence), "{troubled:?}");
        }
    }
}
