//! `kvroute live`: a workload against real endpoints.

use super::live_view::{self, Ui};
use super::machine::Stopwatch;
use super::progress;
use super::scenario_args::ScenarioArgs;
use clap::{Args, ValueEnum};
use kvroute::compare;
use kvroute::error::{Error, Result};
use kvroute::live::body::{BodySpec, EndpointType, parse_extra};
use kvroute::live::client::{Reuse, Target};
use kvroute::live::options::LiveOptions;
use kvroute::live::plan::{self, Plan};
use kvroute::live::progress::Progress;
use kvroute::live::run::Texts;
use kvroute::report::live as report;
use kvroute::report::run_dir::RunDir;
use kvroute::sim::Control;
use kvroute::units::Nanos;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use toml::Value;

/// Other tools' files to write besides our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// profile_export.jsonl, profile_export_aiperf.json and .csv
    Aiperf,
    /// vllm.json: the flat JSON of `vllm bench serve`
    Vllm,
}

#[derive(Args)]
pub struct LiveArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,

    /// Endpoint, for example http://127.0.0.1:8000 (repeatable: requests are dealt out in turn)
    #[arg(long, short, required = true, value_name = "URL", visible_alias = "base-url", help_heading = "Endpoint")]
    url: Vec<String>,
    /// Model to ask for [default: the first one the server lists]
    #[arg(long, value_name = "NAME", help_heading = "Endpoint")]
    model: Option<String>,
    /// Which interface
    #[arg(long, value_name = "TYPE", default_value = "chat", help_heading = "Endpoint")]
    endpoint_type: EndpointType,
    /// Path of the interface, where it is not the standard one
    #[arg(long, value_name = "PATH", help_heading = "Endpoint")]
    endpoint: Option<String>,
    /// Ask for whole answers instead of streams; there is no TTFT then
    #[arg(long, help_heading = "Endpoint")]
    no_streaming: bool,
    /// Sent as bearer token [default: $OPENAI_API_KEY]
    #[arg(long, value_name = "KEY", help_heading = "Endpoint")]
    api_key: Option<String>,
    /// Header of every request (repeatable)
    #[arg(long, value_name = "NAME: VALUE", help_heading = "Endpoint")]
    header: Vec<String>,
    /// Header that carries the number of the session, for session-aware routers
    #[arg(long, value_name = "NAME", help_heading = "Endpoint")]
    session_header: Option<String>,
    /// JSON object whose keys every request carries, for example '{"temperature": 0}'
    #[arg(long, value_name = "JSON", visible_alias = "extra-inputs", help_heading = "Endpoint")]
    extra_body: Option<String>,
    /// Do not ask for outputs of exactly the workload's length (ignore_eos, min_tokens): for servers that
    /// refuse unknown keys
    #[arg(long, help_heading = "Endpoint")]
    no_ignore_eos: bool,
    /// More certificates to trust, PEM
    #[arg(long, value_name = "FILE", help_heading = "Endpoint")]
    cacert: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long, help_heading = "Endpoint")]
    insecure: bool,
    /// Which connection a request takes
    #[arg(long, value_name = "STRATEGY", default_value = "pooled", visible_alias = "connection-reuse-strategy", help_heading = "Endpoint")]
    connection: Reuse,

    /// tokenizer.json of the model, or a folder with one [default: a small one built in; token counts
    /// are then corrected by the server's own]
    #[arg(long, value_name = "FILE", help_heading = "Live")]
    tokenizer: Option<PathBuf>,
    /// A request fails when nothing arrives for so long
    #[arg(long, value_name = "TIME", default_value = "300s", help_heading = "Live")]
    request_timeout: String,
    /// After --duration or Ctrl-C, requests in flight have so long to end
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Live")]
    grace_period: String,
    /// Send a request again, at most so often, when the server answers 429 or 503 with Retry-After
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Live")]
    retries: u32,
    /// Exit with code 1 where a greater share of the requests failed, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Live")]
    max_error_rate: f64,
    /// Where a server shows its metrics (repeatable) [default: /metrics of every endpoint]
    #[arg(long, value_name = "URL", help_heading = "Live")]
    metrics_url: Vec<String>,
    /// Ask no server for its metrics
    #[arg(long, conflicts_with = "metrics_url", help_heading = "Live")]
    no_server_metrics: bool,
    /// Time between two looks at the servers' metrics
    #[arg(long, value_name = "TIME", default_value = "1s", help_heading = "Live")]
    metrics_interval: String,
    /// Threads that drive requests; one is enough for some thousand requests a second
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Live")]
    threads: usize,

    /// Folder for the results [default: out/live-WORKLOAD]
    #[arg(long, value_name = "DIR", visible_alias = "output-artifact-dir", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Write other tools' files too
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', help_heading = "Output")]
    format: Vec<Format>,
    /// Draw no plots
    #[arg(long, help_heading = "Output")]
    no_plots: bool,
    /// Print summary.json instead of the table
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// What to show while it runs [default: live on a terminal, else none]
    #[arg(long, help_heading = "Output")]
    ui: Option<Ui>,
    /// Print nothing to stderr but errors
    #[arg(long, help_heading = "Output")]
    quiet: bool,
}
