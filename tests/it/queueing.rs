//! Queues with a formula: one worker, one request at a time, Poisson arrivals.
//!
//! Two checks of different strength. Lindley's recursion, W' = max(0, W + service − gap), must give
//! every single queue time to the nanosecond. And the means must agree with Pollaczek and Khinchine:
//! ρ·S/(2(1−ρ)) for constant service, ρ·S/(1−ρ) for exponential service. The tolerance of the means
//! is their own statistical error and nothing else: the Student interval over independent seeds,
//! widened for six tests at once to a family-wise error of 5 %. It must also be narrow enough to
//! refuse the formula at a load 0.04 higher, and the formula of the other service law.

use crate::support::fidelity;
use crate::support_queue::{OneMsSteps, Service, replay};
use kvroute::request::RequestRecord;
use kvroute::stats::{Interval, interval_95, t_quantile};
use kvroute::units::Nanos;
use rayon::prelude::*;

const SEEDS: u64 = 16;
const REQUESTS: usize = 20_000;
/// The queue starts empty; its first requests wait less than those to come. At load 0.9 it forgets
/// its beginning within some 400 service times.
const WARM_UP: usize = 2_000;
/// Formulas under test, for Bonferroni's correction.
const TESTS: f64 = 6.0;

/// Mean queue time in service times after the warm-up, with its interval.
fn mean_queue_time(service: Service, load: f64) -> Interval {
    let steps = OneMsSteps::write();
    let scenario = steps.queue(service, load, REQUESTS);
    let means: Vec<f64> = (0..SEEDS)
        .into_par_iter()
        .map(|seed| {
            let (_, records) = replay(&scenario, "round-robin", seed);
            assert_eq!(records.len(), REQUESTS);
            assert_lindley(&records);
            let waits = records[WARM_UP..].iter().map(|record| record.queue_time().unwrap().0);
            waits.sum::<u64>() as f64 / 1e6 / service.mean_ms() / (REQUESTS - WARM_UP) as f64
        })
        .collect();
    let interval = interval_95(&means);
    let widened = t_quantile(1.0 - 0.025 / TESTS, SEEDS - 1) / t_quantile(0.975, SEEDS - 1);
    Interval { half_width: interval.half_width * widened, ..interval }
}

fn assert_lindley(records: &[RequestRecord]) {
    let mut wait = Nanos::ZERO;
    for pair in records.windows(2) {
        let service = Nanos(u64::from(pair[0].output_tokens) * 1_000_000);
        wait = (wait + service).saturating_sub(pair[1].arrival - pair[0].arrival);
        assert_eq!(pair[1].queue_time(), Some(wait), "{:?}", pair[1]);
        assert_eq!(pair[0].finished.unwrap() - pair[0].admitted.unwrap(), service);
    }
}

/// M/M/1, in service times.
fn exponential(load: f64) -> f64 {
    load / (1.0 - load)
}

/// M/D/1, in service times.
fn constant(load: f64) -> f64 {
    exponential(load) / 2.0
}

fn check(service: Service, formula: fn(f64) -> f64, other: fn(f64) -> f64) {
    for load in [0.5, 0.7, 0.9] {
        let found = mean_queue_time(service, load);
        let off = |expected: f64| (found.mean - expected).abs() / found.half_width;
        eprintln!(
            "{service:?} service at load {load}: {:.4} ± {:.4}, formula {:.4} ({:+.2} %)",
            found.mean,
            found.half_width,
            formula(load),
            100.0 * (found.mean / formula(load) - 1.0)
        );
        fidelity(
            &format!("mean queue time, {} service, load {load}", service.name()),
            "the closed formula of the queue",
            "queueing",
            format!(
                "{:+.2} % ± {:.1} (16 seeds of 20,000 requests)",
                100.0 * (found.mean / formula(load) - 1.0),
                100.0 * found.half_width / formula(load)
            ),
        );
        assert!(off(formula(load)) <= 1.0, "load {load}: {found:?}, not {}", formula(load));
        assert!(found.half_width < 0.15 * formula(load), "load {load}: {found:?} proves little");
        assert!(off(formula(load + 0.04)) > 1.0, "load {load}: {found:?} suits a higher load");
        assert!(off(formula(load - 0.04)) > 1.0, "load {load}: {found:?} suits a lower load");
        assert!(off(other(load)) > 1.0, "load {load}: {found:?} suits another law");
    }
}

#[test]
fn constant_service_waits_as_long_as_the_formula_of_m_d_1_says() {
    check(Service::Constant, constant, exponential);
}

#[test]
fn exponential_service_waits_as_long_as_the_formula_of_m_m_1_says() {
    check(Service::Exponential, exponential, constant);
}
