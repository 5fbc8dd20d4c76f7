//! One run with all its records, and the part of it that is in steady state.
//!
//! The rule: measured are the requests that arrive after the first [`WARM_UP`] of the time in which
//! sessions start, and before the last session starts. The beginning has cold caches and few
//! conversations; after the last start conversations only end, and the load fades.

use crate::compare::open_workload;
use crate::error::{Error, Result};
use crate::metrics::overload::QueueTrend;
use crate::metrics::recorder::RunOutput;
use crate::request::{RequestRecord, Status};
use crate::sim::{self, Control, Setup, Sink};
use crate::stats::quantile;
use crate::units::Nanos;
use rustc_hash::FxHashMap;
use std::sync::atomic::Ordering;

/// Share of the time in which sessions start that is left out at the beginning.
pub const WARM_UP: f64 = 0.2;

/// Sessions should start for this many times as long as they last, or more.
pub const LEAST_SPANS: f64 = 4.0;

/// A run and every record of it, in order of arrival.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its summary, timeline and workers.
    pub output: RunOutput,
    /// Its requests.
    pub records: Vec<RequestRecord>,
}

#[derive(Default)]
struct Records(Vec<RequestRecord>);

impl Sink for Records {
    fn request(&mut self, record: &RequestRecord) -> Result<()> {
        self.0.push(record.clone());
        Ok(())
    }
}

/// Runs one router and seed, and keeps all records.
///
/// # Errors
/// Where the workload cannot be read, or the run was interrupted.
pub fn run(setup: &Setup, control: &Control) -> Result<Run> {
    let source = open_workload(&setup.scenario, setup.seed)?;
    let mut records = Records::default();
    let output = sim::run(setup, source, &mut records, control)?;
    if control.stop.load(Ordering::Relaxed) {
        return Err(Error::Run("interrupted: a run cut short decides nothing".into()));
    }
    let mut records = records.0;
    records.sort_unstable_by_key(|record| (record.arrival, record.id));
    Ok(Run { output, records })
}

impl Run {
    /// The requests in steady state that had an answer (see the module's documentation).
    pub fn steady(&self) -> Vec<&RequestRecord> {
        let (from, to) = self.window();
        self.records
            .iter()
            .filter(|record| record.status == Status::Completed)
            .filter(|record| (from..=to).contains(&record.arrival))
            .collect()
    }

    /// Whether the queue grew without bound while in steady state; for closed loops never.
    pub fn overloaded(&self, open_loop: bool) -> bool {
        open_loop && overloaded(&self.steady())
    }

    /// The time in which sessions start, as a multiple of their mean duration: a run that is not
    /// several times as long as its sessions reaches no steady state.
    pub fn spans(&self) -> f64 {
        let mut sessions: FxHashMap<u64, (Nanos, Nanos)> = FxHashMap::default();
        for record in &self.records {
            let end = record.finished.unwrap_or(record.arrival);
            let session = sessions.entry(record.session).or_insert((record.arrival, end));
            session.1 = session.1.max(end);
        }
        let total: u128 = sessions.values().map(|(start, end)| u128::from((*end - *start).0)).sum();
        let mean = total as f64 / 1e9 / sessions.len().max(1) as f64;
        let (first, last) = self.starts();
        last.saturating_sub(first).as_secs_f64() / mean.max(1e-9)
    }

    fn window(&self) -> (Nanos, Nanos) {
        let (first, last) = self.starts();
        let span = last.saturating_sub(first).as_secs_f64();
        (first + Nanos::from_secs_f64(WARM_UP * span), last)
    }

    /// When the first and the last session start.
    fn starts(&self) -> (Nanos, Nanos) {
        let Some(first) = self.records.first() else {
            return (Nanos::ZERO, Nanos::ZERO);
        };
        let starts = self.records.iter().rev().find(|record| record.turn == 0);
        let last = starts.map_or(first.arrival, |record| record.arrival);
        (first.arrival, last)
    }
}

/// The rule of [`crate::metrics::overload`] over some requests.
pub fn overloaded(records: &[&RequestRecord]) -> bool {
    let mut trend = QueueTrend::default();
    for record in records {
        if let Some(queue) = record.queue_time() {
            trend.add(record.arrival, queue);
        }
    }
    let median = |time: fn(&RequestRecord) -> Option<Nanos>| {
        quantile(&sorted_ms(records.iter().filter_map(|record| time(record))), 0.5)
    };
    trend.overloaded(median(RequestRecord::queue_time), median(RequestRecord::e2e))
}

/// Times in milliseconds, ascending.
pub fn sorted_ms(times: impl Iterator<Item = Nanos>) -> Vec<f64> {
    let mut values: Vec<f64> = times.map(Nanos::as_ms_f64).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}
