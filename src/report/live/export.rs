//! Everything that is written of a run while it goes on: its rows, and on demand the exports in the
//! formats of AIPerf and vLLM.

use super::aiperf::Aiperf;
use super::decisions::Decisions;
use super::rows::LiveRows;
use super::vllm::Vllm;
use crate::error::Result;
use crate::live::record::{LiveRecord, LiveSink};
use crate::live::recorder::LiveOutput;
use crate::live::summary::LiveTarget;
use crate::report::run_dir::RunDir;
use crate::scenario::{ArrivalSpec, Scenario};

/// What exports say of a run besides its records, and which are wanted.
#[derive(Clone, Debug)]
pub struct ExportHead {
    /// Folder of the run's exports within the run's folder: empty, or `name/` where there are several
    /// runs.
    pub folder: String,
    /// Router mode or arm.
    pub router: String,
    /// Seed of the workload.
    pub seed: u64,
    /// Where the load went.
    pub target: LiveTarget,
    /// Wall clock at the start of the run, which records count from; ns since 1970. 0 until it has
    /// started.
    pub start_unix_ns: u64,
    /// How requests are spaced where there is a rate: `poisson`, `constant` or `gamma`.
    pub spacing: &'static str,
    /// Requests per second asked for; `None` where the load is not given as a rate.
    pub request_rate: Option<f64>,
    /// Burstiness of arrivals as vLLM means it: 1 is Poisson.
    pub burstiness: f64,
    /// Requests in flight asked for; `None` where there is no such limit.
    pub concurrency: Option<u64>,
    /// Write why each request went where it went.
    pub decisions: bool,
    /// Write AIPerf's files (`--format aiperf`).
    pub aiperf: bool,
    /// Write vLLM's file (`--format vllm`).
    pub vllm: bool,
    /// In vLLM's file also the lists of every request; they are kept in memory until the end.
    pub detailed: bool,
}

impl ExportHead {
    /// For the run of `router` with `seed` that `scenario` describes; no export is asked for yet.
    pub fn new(scenario: &Scenario, target: LiveTarget, router: &str, seed: u64) -> ExportHead {
        let arrival = scenario.workload.arrival.as_ref();
        let (spacing, request_rate, burstiness) = match arrival {
            Some(ArrivalSpec::Constant { rate }) => ("constant", Some(*rate), f64::INFINITY),
            Some(ArrivalSpec::Gamma { rate, burstiness }) => ("gamma", Some(*rate), *burstiness),
            Some(ArrivalSpec::Poisson { rate }) => ("poisson", Some(*rate), 1.0),
            _ => ("poisson", None, 1.0),
        };
        let concurrency = match arrival {
            Some(ArrivalSpec::Closed { concurrency, .. }) => Some(u64::from(*concurrency)),
            _ => None,
        };
        ExportHead {
            folder: String::new(),
            router: router.into(),
            seed,
            target,
            start_unix_ns: 0,
            spacing,
            request_rate,
            burstiness,
            concurrency,
            decisions: scenario.output.decisions,
            aiperf: false,
            vllm: false,
            detailed: false,
        }
    }
}

/// Writes a run's records as its requests end.
pub struct LiveWriter {
    rows: LiveRows,
    decisions: Option<Decisions>,
    aiperf: Option<Aiperf>,
    vllm: Option<Vllm>,
}

impl LiveWriter {
    /// For run number `place`, from 0, of those that go to `dir`.
    ///
    /// # Errors
    /// Where a file cannot be created.
    pub fn create(dir: &RunDir, place: usize, head: &ExportHead) -> Result<LiveWriter> {
        Ok(LiveWriter {
            rows: LiveRows::create(dir, place, &head.router, head.seed)?,
            decisions: head
                .decisions
                .then(|| Decisions::create(dir, place, &head.router, head.seed))
                .transpose()?,
            aiperf: head.aiperf.then(|| Aiperf::create(dir, head)).transpose()?,
            vllm: head.vllm.then(|| Vllm::new(dir, head)),
        })
    }

    /// Whether records must carry the gaps between their chunks.
    pub fn wants_gaps(&self) -> bool {
        self.aiperf.is_some() || self.vllm.as_ref().is_some_and(Vllm::is_detailed)
    }

    /// Ends all files; the run's folder itself is completed by [`super::write`].
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn finish(self, output: &LiveOutput) -> Result<()> {
        self.rows.finish()?;
        self.decisions.map_or(Ok(()), Decisions::finish)?;
        self.aiperf.map_or(Ok(()), |export| export.finish(&output.run))?;
        self.vllm.map_or(Ok(()), |export| export.finish(&output.run))
    }
}

impl LiveSink for LiveWriter {
    fn started(&mut self, unix_ns: u64) {
        if let Some(export) = &mut self.aiperf {
            export.head.start_unix_ns = unix_ns;
        }
        if let Some(export) = &mut self.vllm {
            export.head.start_unix_ns = unix_ns;
        }
    }

    fn request(&mut self, record: &LiveRecord) -> Result<()> {
        self.rows.request(record)?;
        self.decisions.as_mut().map_or(Ok(()), |decisions| decisions.request(record))?;
        self.aiperf.as_mut().map_or(Ok(()), |export| export.request(record))?;
        self.vllm.as_mut().map_or(Ok(()), |export| export.request(record))
    }
}
