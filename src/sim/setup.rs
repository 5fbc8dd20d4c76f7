//! From a scenario to the parts of one run.

use super::latency::{self, LatencyModel, Preset};
use super::worker::WorkerConfig;
use crate::cache::BlockCache;
use crate::error::{Error, Result};
use crate::metrics::recorder::Recorder;
use crate::metrics::window::Window;
use crate::router::frontend::ClusterFacts;
use crate::router::{self, Frontend, Needs};
use crate::scenario::{ArrivalSpec, ClusterSpec, Scenario, Slo, WarmUp, cluster};
use crate::units::Nanos;

/// One router and one seed of a scenario, checked: building its parts cannot fail.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The scenario, resolved.
    pub scenario: Scenario,
    /// Router mode.
    pub mode: String,
    /// Seed.
    pub seed: u64,
    /// Service level objectives.
    pub slo: Option<Slo>,
    /// Every step is made by itself, as a check on those made many at a time.
    pub step_by_step: bool,
    window: Window,
    preset: Preset,
    kv_blocks: u32,
}

/// Fills in what a scenario leaves to its preset: `cluster.kv_blocks`.
///
/// # Errors
/// Where the preset or a router is not known, or no KV blocks can be derived.
pub fn resolve(mut scenario: Scenario) -> Result<Scenario> {
    for mode in &scenario.router.mode {
        router::build(mode, &scenario.router)?;
    }
    let preset = latency::find(&scenario.cluster.latency)?;
    scenario.cluster.kv_blocks = Some(kv_blocks(&scenario.cluster, &preset)?);
    Ok(scenario)
}

fn kv_blocks(spec: &ClusterSpec, preset: &Preset) -> Result<u32> {
    if let Some(blocks) = spec.kv_blocks {
        return Ok(blocks);
    }
    let blocks = match (&spec.gpu, &spec.model, preset.kv_tokens) {
        (Some(gpu), Some(model), _) => cluster::kv_blocks(gpu, model, spec.block_tokens),
        (_, _, Some(tokens)) => tokens / u64::from(spec.block_tokens),
        _ => {
            return Err(Error::input(format!(
                "latency preset {} does not say how many KV blocks a worker has; give --kv-blocks",
                preset.name
            )));
        }
    };
    u32::try_from(blocks).ok().filter(|blocks| *blocks > 0).ok_or_else(|| {
        Error::input(format!(
            "{blocks} KV blocks of {} tokens come out per worker; give --kv-blocks",
            spec.block_tokens
        ))
    })
}

/// What of a run is measured. A share is one of the time where the run's duration is given, which
/// says how much will arrive better than an upper limit does. Else it is one of the requests and needs
/// their number, which a trace does not tell before it has been read.
pub(crate) fn window(scenario: &Scenario) -> Result<Window> {
    let workload = &scenario.workload;
    match (scenario.metrics.warm_up()?, workload.duration, workload.requests) {
        (None, ..) => Ok(Window::default()),
        (Some(WarmUp::Requests(requests)), ..) => Ok(Window::after_requests(requests)),
        (Some(WarmUp::Time(time)), ..) => Ok(Window::after(time)),
        (Some(WarmUp::Share(share)), Some(duration), _) => {
            Ok(Window::after(Nanos::from_secs_f64(share * duration.as_secs_f64())))
        }
        (Some(share @ WarmUp::Share(_)), None, Some(requests)) => {
            Ok(Window::after_requests(share.requests(requests)))
        }
        (Some(WarmUp::Share(_)), None, None) => Err(Error::input(
            "metrics.warm_up: the number of requests is not known; give a number or a time",
        )),
    }
}

impl Setup {
    /// One router and seed of a scenario that [`resolve`] has completed.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn new(scenario: &Scenario, mode: &str, seed: u64) -> Result<Setup> {
        router::build(mode, &scenario.router)?;
        let preset = latency::find(&scenario.cluster.latency)?;
        let kv_blocks = kv_blocks(&scenario.cluster, &preset)?;
        Ok(Setup {
            scenario: scenario.clone(),
            mode: mode.into(),
            seed,
            slo: scenario.slo(),
            step_by_step: false,
            window: window(scenario)?,
            preset,
            kv_blocks,
        })
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.scenario.cluster.workers as usize
    }

    pub(super) fn recorder(&self) -> Recorder {
        let arrival = self.scenario.workload.arrival.as_ref();
        let open_loop = !arrival.is_some_and(ArrivalSpec::is_closed_loop);
        Recorder::new(self.workers(), self.scenario.cluster.block_tokens, self.slo, open_loop)
            .measuring(self.window.clone())
    }

    /// Whether a request can ever fit: all but its last token must have KV.
    pub fn fits(&self, prompt_tokens: u32, output_tokens: u32) -> bool {
        let tokens = u64::from(prompt_tokens) + u64::from(output_tokens) - 1;
        tokens.div_ceil(u64::from(self.scenario.cluster.block_tokens)) <= u64::from(self.kv_blocks)
    }

    /// KV events reach routers late, or not at all.
    pub(super) fn events_go_astray(&self) -> bool {
        let router = &self.scenario.router;
        router.event_loss > 0.0 || router.event_delay > Nanos::ZERO
    }

    /// `lags`: nobody needs to know of every change of a cache in time.
    pub(super) fn worker_config(&self, needs: &Needs, lags: bool) -> WorkerConfig {
        let cluster = &self.scenario.cluster;
        let cruises = !needs.shared_cache && !self.step_by_step;
        WorkerConfig {
            block_tokens: cluster.block_tokens,
            max_batched_tokens: cluster.max_batched_tokens,
            max_seqs: cluster.max_seqs,
            engine: cluster.engine,
            own_cache: !needs.shared_cache,
            cruises,
            lags: lags && cruises,
        }
    }

    pub(super) fn caches(&self, shared: bool) -> Vec<BlockCache> {
        let eviction = self.scenario.cluster.eviction;
        let workers = self.workers();
        if shared {
            let blocks = u64::from(self.kv_blocks) * workers as u64;
            let blocks = blocks.min(u64::from(u32::MAX - 1)) as u32;
            return vec![BlockCache::new(blocks, eviction)];
        }
        (0..workers).map(|_| BlockCache::new(self.kv_blocks, eviction)).collect()
    }

    pub(super) fn frontends(&self) -> Vec<Frontend> {
        let spec = &self.scenario.router;
        let facts = ClusterFacts {
            workers: self.workers(),
            block_tokens: self.scenario.cluster.block_tokens,
            kv_blocks: self.kv_blocks,
        };
        (0..spec.replicas)
            .map(|replica| {
                let policy =
                    router::build(&self.mode, spec).expect("checked when the set-up was made");
                let frontend = Frontend::new(policy, &spec.kv, facts, self.seed, replica);
                if spec.metrics_interval.is_some() { frontend.by_polled_loads() } else { frontend }
            })
            .collect()
    }

    /// What passes between a client and the engine, of every request.
    pub(super) fn front(&self) -> Nanos {
        Nanos::from_ms_f64(self.preset.front_ms)
    }

    pub(super) fn latency(&self) -> Box<dyn LatencyModel> {
        latency::build(&self.preset, &self.scenario.cluster, self.kv_blocks)
    }
}
