//! From a scenario and options to a run.

use super::arms::Choosing;
use super::client::answer::Fault;
use super::client::{Client, Target};
use super::clock::Clock;
use super::connect;
use super::conversation::has_system_prompt;
use super::options::LiveOptions;
use super::record::Failure;
use super::recorder::LiveRecorder;
use super::runtime;
use super::summary::LiveTarget;
use super::text::Texts;
use crate::compare;
use crate::error::{Error, Result};
use crate::metrics::window::Window;
use crate::scenario::{ArrivalSpec, Scenario, Slo};
use crate::sim::setup;
use crate::units::Nanos;
use crate::workload::Source;
use serde::Deserialize;

/// What is to be run.
pub struct Job<'a> {
    /// The requests, and when.
    pub source: Box<dyn Source>,
    /// Where and how.
    pub options: &'a LiveOptions,
    /// Makes their text.
    pub texts: &'a Texts,
    /// Which endpoint each goes to.
    pub choosing: Choosing<'a>,
    /// What is measured.
    pub recorder: LiveRecorder,
    /// Not measured at the beginning.
    pub window: Window,
    /// When sending ends whatever is left; `None` = when the source does.
    pub duration: Option<Nanos>,
    /// Connections opened before the first request.
    pub warm_connections: usize,
    /// First text of a prompt is a system prompt.
    pub system_prompt: bool,
    /// For expected hits: the servers' block size, tokens.
    pub block_tokens: u32,
    /// Name of the run in its results.
    pub label: String,
    /// Seed of the workload.
    pub seed: u64,
}

impl<'a> Job<'a> {
    /// The run of a resolved `scenario` under `seed`, called `label` in its results.
    ///
    /// # Errors
    /// Where the trace cannot be read.
    pub fn new(
        scenario: &Scenario,
        seed: u64,
        label: &str,
        options: &'a LiveOptions,
        texts: &'a Texts,
        choosing: Choosing<'a>,
    ) -> Result<Job<'a>> {
        let slo = scenario.slo.as_deref().map(Slo::parse).transpose()?;
        Ok(Job {
            source: compare::open_workload(scenario, seed)?,
            options,
            texts,
            choosing,
            recorder: LiveRecorder::new(options.targets.len(), slo),
            window: setup::window(scenario)?,
            duration: scenario.workload.duration,
            warm_connections: warm_connections(scenario, options.targets.len()),
            system_prompt: has_system_prompt(&scenario.workload),
            block_tokens: scenario.cluster.block_tokens,
            label: label.into(),
            seed,
        })
    }
}

/// Connections opened beforehand where nothing says how many will be needed.
const SPARE: usize = 16;

/// Connections that the first instant needs: those of a closed loop's slots or of a burst. An open loop
/// opens them as it goes, and begins with a few.
fn warm_connections(scenario: &Scenario, endpoints: usize) -> usize {
    let together = match scenario.workload.arrival {
        Some(ArrivalSpec::Closed { concurrency, .. }) => concurrency as usize,
        Some(ArrivalSpec::Sessions { sessions, .. }) => sessions as usize,
        Some(ArrivalSpec::Burst { size, .. }) => size as usize,
        _ => SPARE,
    };
    let requests = scenario.workload.requests.unwrap_or(u64::MAX);
    together.min(usize::try_from(requests).unwrap_or(usize::MAX)).max(endpoints)
}

/// What a run loads, for its results.
pub fn target(options: &LiveOptions, texts: &Texts) -> LiveTarget {
    LiveTarget {
        urls: options.targets.iter().map(|target| target.url.clone()).collect(),
        model: options.body.model.clone(),
        endpoint_type: options.body.endpoint.name().into(),
        streaming: options.body.streaming,
        tokenizer: texts.tokenizer.name().into(),
        routed_by: "server",
    }
}

/// What `GET /v1/models` answers.
#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// The first model that the first endpoint lists.
///
/// # Errors
/// Where it does not answer, or lists none.
pub fn first_model(options: &LiveOptions) -> Result<String> {
    let target = &options.targets[0];
    let Target { option, url, .. } = target;
    let models = runtime::block_on(async {
        let client: Client = connect::client(options, &Clock::start()).await?;
        list_models(&client, target).await.map_err(|fault| {
            let (words, cure) = (&fault.words, fault.cure());
            Error::input(format!(
                "{option} {url}: cannot ask for its models (--model names one without asking): {words}; \
                 {cure}"
            ))
        })
    })?;
    models.into_iter().next().ok_or_else(|| {
        Error::input(format!("{option} {url}: it lists no model; name one with --model"))
    })
}

/// The models that `target` lists; none where its answer is no list.
///
/// # Errors
/// Why it does not answer.
pub(super) async fn list_models(
    client: &Client,
    target: &Target,
) -> std::result::Result<Vec<String>, Fault> {
    let models = Target { path: format!("{}/models", target.base), ..target.clone() };
    let addresses = models.resolve().await;
    let addresses = addresses.map_err(|why| Fault::new(Failure::Connect, why.to_string()))?;
    let body = client.fetch(&models, &addresses).await?;
    let models: Option<Models> = serde_json::from_slice(&body).ok();
    let models = models.map_or(Vec::new(), |models| models.data);
    Ok(models.into_iter().map(|model| model.id).collect())
}
