//! One worker that serves one request at a time, a millisecond per output token: a textbook queue.

use crate::support::{Records, scenario};
use kvroute::compare::open_workload;
use kvroute::metrics::summary::RunSummary;
use kvroute::request::RequestRecord;
use kvroute::scenario::Scenario;
use kvroute::sim::{Control, Setup, run};
use std::path::PathBuf;
use tempfile::TempDir;

/// A law of service times; milliseconds are output tokens.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    Constant,
    Exponential,
}

impl Service {
    /// The queue it makes under Poisson arrivals.
    pub fn name(self) -> &'static str {
        match self {
            Service::Constant => "constant (M/D/1)",
            Service::Exponential => "exponential (M/M/1)",
        }
    }

    /// The law of output tokens. Few tokens keep the test fast: every one is a step.
    fn law(self) -> &'static str {
        match self {
            Service::Constant => "{law=\"constant\", value=10}",
            Service::Exponential => "{law=\"exponential\", mean=25}",
        }
    }

    /// Mean service time. Lengths are rounded and at least 1, which moves the mean of the
    /// exponential law X to 1 + Σ P(X ≥ k − 1/2) over k ≥ 2; what rounding does to its second
    /// moment is below 0.1 % of it.
    pub fn mean_ms(self) -> f64 {
        match self {
            Service::Constant => 10.0,
            Service::Exponential => 1.0 + (-1.5f64 / 25.0).exp() / (1.0 - (-1f64 / 25.0).exp()),
        }
    }
}

/// A latency file in which every step takes one millisecond, whatever is in it. The prompt has one
/// token and the step that computes it makes the first output token, so service = output tokens.
pub struct OneMsSteps {
    _folder: TempDir,
    path: PathBuf,
}

impl OneMsSteps {
    pub fn write() -> OneMsSteps {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one-ms.toml");
        let text = "[[preset]]\nname = \"one-ms\"\nabout = \"test\"\nsource = \"test\"\n\
                    error = \"none\"\nkv_tokens = 1000000\n[preset.model.linear]\nstep_ms = 1.0\n";
        std::fs::write(&path, text).unwrap();
        OneMsSteps { _folder: folder, path }
    }

    /// Poisson arrivals of `load` on one worker that serves one request at a time.
    pub fn queue(&self, service: Service, load: f64, requests: usize) -> Scenario {
        let rate = load * 1000.0 / service.mean_ms();
        scenario(
            "diverse",
            &[
                &format!("cluster.latency=\"{}\"", self.path.display()),
                "cluster.workers=1",
                "cluster.max_seqs=1",
                &format!("workload.requests={requests}"),
                &format!("workload.arrival={{process=\"poisson\", rate={rate}}}"),
                "workload.diverse.prompt={law=\"constant\", value=1}",
                &format!("workload.diverse.output={}", service.law()),
            ],
        )
    }
}

/// Runs one seed of a scenario; records come in order of arrival.
pub fn replay(scenario: &Scenario, mode: &str, seed: u64) -> (RunSummary, Vec<RequestRecord>) {
    let setup = Setup::new(scenario, mode, seed).unwrap();
    let mut records = Records::default();
    let source = open_workload(scenario, seed).unwrap();
    let output = run(&setup, source, &mut records, &Control::default()).unwrap();
    records.0.sort_by_key(|record| (record.arrival, record.id));
    (output.summary, records.0)
}
