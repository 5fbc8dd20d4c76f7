//! Options that say where servers are and how they are asked: of `kvroute live` and its doctor.

use clap::Args;
use kvroute::error::{Error, Result};
use kvroute::live::body::{BodySpec, EndpointType, parse_extra};
use kvroute::live::client::Target;
use kvroute::live::kv_events::subscriber::Feed;
use std::path::PathBuf;

#[derive(Args)]
pub struct ServerArgs {
    /// Where a worker publishes its KV events, one for each --worker: tcp://HOST:PORT, or
    /// bind:tcp://HOST:PORT where the worker connects to us (vLLM with a host in its endpoint)
    #[arg(long, value_name = "ENDPOINT", help_heading = "Comparison")]
    kv_events_endpoint: Vec<String>,
    /// Where a worker answers for lost KV events, one for each --worker
    #[arg(
        long,
        value_name = "ENDPOINT",
        requires = "kv_events_endpoint",
        help_heading = "Comparison"
    )]
    kv_replay_endpoint: Vec<String>,

    /// Model to ask for [default: the first one the server lists]
    #[arg(long, value_name = "NAME", help_heading = "Endpoint")]
    pub model: Option<String>,
    /// Which interface
    #[arg(long, value_name = "TYPE", default_value = "chat", help_heading = "Endpoint")]
    endpoint_type: EndpointType,
    /// Path of the interface, where it is not the standard one
    #[arg(long, value_name = "PATH", help_heading = "Endpoint")]
    endpoint: Option<String>,
    /// Sent as bearer token [default: $OPENAI_API_KEY]
    #[arg(long, value_name = "KEY", help_heading = "Endpoint")]
    api_key: Option<String>,
    /// Header of every request (repeatable)
    #[arg(long, value_name = "NAME: VALUE", help_heading = "Endpoint")]
    header: Vec<String>,
    /// JSON object whose keys every request carries, for example '{"temperature": 0}'
    #[arg(long, value_name = "JSON", visible_alias = "extra-inputs", help_heading = "Endpoint")]
    extra_body: Option<String>,
    /// Do not ask for outputs of exactly the workload's length (ignore_eos, min_tokens): for servers that
    /// refuse unknown keys
    #[arg(long, help_heading = "Endpoint")]
    no_ignore_eos: bool,
    /// More certificates to trust, PEM
    #[arg(long, value_name = "FILE", help_heading = "Endpoint")]
    pub cacert: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long, help_heading = "Endpoint")]
    pub insecure: bool,

    /// tokenizer.json of the model, or a folder with one [default: a small one built in; token counts
    /// are then corrected by the server's own]
    #[arg(long, value_name = "FILE", help_heading = "Live")]
    pub tokenizer: Option<PathBuf>,
    /// Where a server shows its metrics (repeatable) [default: /metrics of every endpoint]
    #[arg(long, value_name = "URL", help_heading = "Live")]
    pub metrics_url: Vec<String>,
    /// Ask no server for its metrics
    #[arg(long, conflicts_with = "metrics_url", help_heading = "Live")]
    no_server_metrics: bool,
}

impl ServerArgs {
    /// Endpoints that `option` named.
    pub fn targets(&self, option: &'static str, urls: &[String]) -> Result<Vec<Target>> {
        let (completions, path) = (self.endpoint_type.path(), self.endpoint.as_deref());
        urls.iter().map(|url| Target::given_by(option, url, completions, path)).collect()
    }

    /// Pages of metrics, where not named otherwise those of `targets`.
    pub fn metrics(&self, targets: &[Target]) -> Result<Vec<Target>> {
        if self.no_server_metrics {
            return Ok(Vec::new());
        }
        if self.metrics_url.is_empty() {
            let page = |target: &Target| Target {
                url: format!("{}/metrics", target.root()),
                path: "/metrics".into(),
                ..target.clone()
            };
            return Ok(targets.iter().map(page).collect());
        }
        let page = |url: &String| Target::page("--metrics-url", url, "/metrics");
        self.metrics_url.iter().map(page).collect()
    }

    /// What requests hold; without --model the name is empty.
    pub fn body(&self, streaming: bool) -> Result<BodySpec> {
        Ok(BodySpec {
            model: self.model.clone().unwrap_or_default(),
            endpoint: self.endpoint_type,
            streaming,
            ignore_eos: !self.no_ignore_eos,
            extra: self.extra_body.as_deref().map_or(Ok(Default::default()), parse_extra)?,
        })
    }

    /// An empty variable is none.
    pub fn api_key(&self) -> Option<String> {
        let variable = || std::env::var("OPENAI_API_KEY").ok();
        self.api_key.clone().or_else(variable).filter(|key| !key.is_empty())
    }

    /// `Name: value`, each.
    pub fn headers(&self) -> Result<Vec<(String, String)>> {
        let header = |line: &String| {
            let (name, value) = line.split_once(':').ok_or_else(|| {
                Error::input(format!("--header \"{line}\" has no colon; write \"Name: value\""))
            })?;
            Ok((name.trim().into(), value.trim().into()))
        };
        self.header.iter().map(header).collect()
    }

    /// Where the KV events of `workers` workers come from; without workers those of any number, behind a
    /// front end.
    pub fn feeds(&self, workers: usize) -> Result<Vec<Feed>> {
        let (events, replays) = (&self.kv_events_endpoint, &self.kv_replay_endpoint);
        let fits = |given: &[String], places| given.is_empty() || given.len() == places;
        if !fits(events, workers) || !fits(replays, events.len()) {
            return Err(Error::input(format!(
                "{} --kv-events-endpoint and {} --kv-replay-endpoint for {workers} --worker: give one for \
                 each worker, in their order, or none",
                events.len(),
                replays.len(),
            )));
        }
        let feed = |(place, endpoint): (usize, &String)| {
            Ok(Feed {
                worker: place as u32,
                events: endpoint.parse()?,
                replay: replays.get(place).map(|replay| replay.parse()).transpose()?,
            })
        };
        events.iter().enumerate().map(feed).collect()
    }

    /// KV events that were named.
    pub fn kv_events(&self) -> usize {
        self.kv_events_endpoint.len()
    }
}
