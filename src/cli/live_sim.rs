//! `kvroute live --compare-sim`: a probe before the runs, their simulation after them.

use super::live::LiveArgs;
use super::progress;
use clap::Args;
use kvroute::calibrate::{self, Fit};
use kvroute::error::{Error, Result};
use kvroute::live::arms::Arm;
use kvroute::live::compare_sim::{
    Calibration, Cluster, CompareSim, Compared, NotSimulated, longest_prompt, rest, simulate,
    stands_for,
};
use kvroute::live::options::LiveOptions;
use kvroute::live::probe::{ProbeSpec, Probed, probe};
use kvroute::live::recorder::LiveOutput;
use kvroute::live::text::Texts;
use kvroute::report::live::probe as files;
use kvroute::report::plot;
use kvroute::report::run_dir::RunDir;
use kvroute::scenario::Scenario;
use kvroute::sim::Control;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A probe begins nothing new after this time.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// Largest decoding batch that is probed, and most requests that are sent at once for it.
const BATCH: u32 = 8;
const AT_ONCE: u32 = 64;
/// Fewer rows are no fit; from twice as many and some on, half of them are held out.
const MIN_ROWS: usize = 16;
const ROWS_TO_HOLD_OUT: usize = 40;
/// Name of the preset, and of its file in the run's folder.
const PRESET: &str = "calibrated";
const PRESET_FILE: &str = "calibrated.toml";

#[derive(Args)]
pub struct SimArgs {
    /// Simulate the same runs as well and report both side by side; step times come from a short probe
    /// of the endpoints before the runs, or from --latency
    #[arg(long, help_heading = "Comparison")]
    pub(super) compare_sim: bool,
    /// Requests of the probe, per endpoint; it ends after a minute in any case
    #[arg(
        long,
        value_name = "N",
        default_value_t = 120,
        requires = "compare_sim",
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        help_heading = "Comparison"
    )]
    probe_requests: u32,
}

/// What the simulation will need of the servers.
pub struct Planned {
    probed: Probed,
    cluster: Cluster,
    /// Step times: fitted to the probe, or those of a preset or file.
    latency: Latency,
    plots: bool,
    /// Arms begin with the caches that others have left.
    warm: bool,
    /// Longest prompt of the workload, tokens.
    longest: u32,
}

enum Latency {
    /// A fit, and the number of rows that were too far off for it.
    Fitted(Box<(Fit, usize)>),
    Given(String),
}

impl Planned {
    /// Probes the endpoints, where the simulation is asked for.
    pub fn make(
        args: &LiveArgs,
        (scenario, arms): (&Scenario, &[Arm]),
        (options, texts): (&LiveOptions, &Texts),
        control: &Control,
    ) -> Result<Option<Planned>> {
        if !args.sim.compare_sim {
            return Ok(None);
        }
        let times = !args.scenario.names_latency();
        let spec = spec(args, scenario, arms, times)?;
        let endpoints = options.targets.len() as u64;
        if !args.quiet {
            eprintln!("kvroute: probing {endpoints} endpoint(s) for --compare-sim");
        }
        let total = if times { u64::from(spec.requests) * endpoints } else { 0 };
        let probed = progress::with_bar(total, args.quiet, control, || {
            probe(options, texts, &spec, control)
        })?;
        control.done.store(0, Relaxed);
        let cluster = Cluster::of(&scenario.cluster, &probed);
        let latency = match times {
            true => Latency::Fitted(Box::new(fit(&probed)?)),
            false => Latency::Given(scenario.cluster.latency.clone()),
        };
        if !args.quiet {
            eprintln!(
                "kvroute: probe of {} requests in {:.1} s; simulating {}",
                probed.requests,
                probed.took.as_secs_f64(),
                cluster.line()
            );
        }
        let plots = scenario.output.plots;
        let warm = arms.len() > 1 && args.reset_kv_cache == "none";
        let longest = spec.longest;
        Ok(Some(Planned { probed, cluster, latency, plots, warm, longest }))
    }

    /// Simulates the live runs, after they have ended; nothing after an interruption.
    pub fn compare(
        self,
        (scenario, arms): (&Scenario, &[Arm]),
        events: bool,
        outputs: &[LiveOutput],
        dir: &RunDir,
        control: &Control,
    ) -> Result<Option<CompareSim>> {
        let latency = self.write(dir)?;
        if control.stop.load(Relaxed) {
            return Ok(None);
        }
        let (name, calibration) = match &self.latency {
            Latency::Fitted(fit) => {
                (PRESET_FILE.into(), Some(calibration(&fit.0, fit.1, self.longest)))
            }
            Latency::Given(name) => (name.clone(), None),
        };
        let mut found = CompareSim::new(name, calibration, &self.probed, self.cluster);
        for arm in arms {
            let (mode, workers) = match stands_for(arm, scenario.cluster.workers) {
                Ok(stands) => stands,
                Err(why) => {
                    found.not_simulated.push(NotSimulated { router: arm.label.clone(), why });
                    continue;
                }
            };
            let own = outputs.iter().enumerate().filter(|(_, live)| live.run.label == arm.label);
            for (place, live) in own {
                // A front end of the server's knows what its workers hold.
                let run = (mode.as_str(), live.run.seed, arm.router.is_none() || events);
                let cluster = (&found.cluster, workers);
                let simulated = simulate(scenario, run, cluster, &latency, &found.tokens, control)?;
                found.runs.push(Compared::new(place, live, &mode, simulated));
            }
        }
        found.notes = rest(&found, outputs, self.warm);
        Ok(Some(found))
    }

    /// Writes what was measured and fitted; the preset as `cluster.latency` takes it.
    fn write(&self, dir: &RunDir) -> Result<String> {
        let fit = match &self.latency {
            Latency::Given(name) => return Ok(name.clone()),
            Latency::Fitted(fit) => &fit.0,
        };
        let files = files::files(&self.probed);
        files.iter().try_for_each(|(name, text)| dir.write(name, text.as_bytes()))?;
        let names: Vec<String> = files.iter().map(|(name, _)| (*name).to_string()).collect();
        let sizes = |key| self.cluster.size(key).map(u64::from);
        let kv_tokens = sizes("kv_blocks").zip(sizes("block_tokens")).map(|(a, b)| a * b);
        let preset = calibrate::preset(PRESET, &names, fit, kv_tokens);
        dir.write(PRESET_FILE, preset.to_toml()?.as_bytes())?;
        if self.plots {
            let svg = plot::draw_residuals("step times of the probe", fit)?;
            dir.write("plots/calibration.svg", svg.as_bytes())?;
            dir.write("plots/calibration.png", &plot::png(&svg)?)?;
        }
        Ok(dir.path(PRESET_FILE).display().to_string())
    }
}

fn spec(args: &LiveArgs, scenario: &Scenario, arms: &[Arm], times: bool) -> Result<ProbeSpec> {
    let all = scenario.cluster.workers;
    let behind = |arm: &Arm| match stands_for(arm, all) {
        Ok((_, workers)) => workers / arm.targets.len() as u32,
        Err(_) => all,
    };
    let workers = arms.iter().map(behind).max().unwrap_or(1).max(1);
    Ok(ProbeSpec {
        requests: args.sim.probe_requests,
        limit: PROBE_LIMIT,
        longest: longest_prompt(scenario)?,
        max_batched_tokens: scenario.cluster.max_batched_tokens,
        batch: BATCH.min(AT_ONCE / workers).min(scenario.cluster.max_seqs).max(1),
        workers,
        block_tokens: scenario.cluster.block_tokens,
        times,
    })
}

/// The fit, and how many rows were too far off for it.
fn fit(probed: &Probed) -> Result<(Fit, usize)> {
    let mut rows = Vec::new();
    for (name, text) in files::files(probed) {
        rows.extend(calibrate::parse(Path::new(name), text.as_bytes())?);
    }
    if rows.len() < MIN_ROWS {
        return Err(Error::input(format!(
            "the probe gave {} rows of measurements, and a fit needs {MIN_ROWS}: raise --probe-requests, or \
             give --latency",
            rows.len()
        )));
    }
    let holdout = if rows.len() < ROWS_TO_HOLD_OUT { 0.0 } else { 0.5 };
    calibrate::fit_robust(&rows, holdout)
}

fn calibration(fit: &Fit, left_out: usize, longest_prompt: u32) -> Calibration {
    let error = |halves: &calibrate::fit::Halves| {
        let errors = if halves.held_out.rows > 0 { halves.held_out } else { halves.fitted };
        (errors.rows > 0).then_some(errors.p50)
    };
    Calibration {
        rows: fit.points.len(),
        left_out,
        r2: fit.r2,
        prefill_error: error(&fit.prefill),
        decode_error: error(&fit.decode),
        prefill_tokens: fit.range.prefill_tokens,
        context: fit.range.context,
        longest_prompt,
        batch: fit.range.decode_seqs,
        front_ms: fit.front_ms,
    }
}
