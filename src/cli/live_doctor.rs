//! `kvroute live doctor`: what is wrong with a set-up, and how to mend it.

use super::live_server::ServerArgs;
use super::scenario_args::ScenarioArgs;
use clap::Args;
use kvroute::error::Result;
use kvroute::live::client::Reuse;
use kvroute::live::doctor::{self, SetUp};
use kvroute::live::options::LiveOptions;
use kvroute::live::text::Texts;
use kvroute::report::live::doctor as report;
use std::time::Duration;

/// A prompt of some hundred tokens is answered sooner, or the server is not fit to be measured.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    #[command(flatten)]
    server: ServerArgs,

    /// A front end, or a server of which that is not known (repeatable)
    #[arg(
        long,
        short,
        required_unless_present = "worker",
        value_name = "URL",
        visible_alias = "base-url",
        help_heading = "Endpoint"
    )]
    url: Vec<String>,
    /// A single worker (repeatable); may be given beside --url, of a front end before the workers
    #[arg(long, value_name = "URL", help_heading = "Comparison")]
    worker: Vec<String>,

    /// Print findings as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub fn exec(args: &DoctorArgs) -> anyhow::Result<()> {
    let server = &args.server;
    let scenario = args.scenario.draft()?.finish()?;
    let mut targets = server.targets("--url", &args.url)?;
    targets.extend(server.targets("--worker", &args.worker)?);
    let options = LiveOptions {
        metrics: server.metrics(&targets)?,
        targets,
        scrape_every: Duration::from_secs(1),
        body: server.body(true)?,
        api_key: server.api_key(),
        headers: server.headers()?,
        session_header: None,
        reuse: Reuse::default(),
        cacert: server.cacert.clone(),
        insecure: server.insecure,
        request_timeout: PATIENCE,
        grace: Duration::ZERO,
        retries: 0,
        keep_gaps: false,
        threads: 1,
        caches_emptied: false,
        tokenizer: server.tokenizer.clone(),
    };
    let texts = Texts::load(options.tokenizer.as_deref())?;
    let diagnosis = doctor::examine(
        &SetUp {
            options: &options,
            fronts: args.url.len(),
            feeds: &args.feeds()?,
            scenario: &scenario,
            workload: &args.scenario.workload,
            metrics_given: !server.metrics_url.is_empty(),
            block_tokens_given: args.scenario.block_tokens.is_some(),
        },
        &texts,
    )?;
    if args.json {
        super::print(&serde_json::to_string_pretty(&diagnosis)?)?;
    } else {
        super::print(&report::render(&diagnosis))?;
    }
    match diagnosis.failed {
        0 => Ok(()),
        1 => anyhow::bail!("a check has failed"),
        failed => anyhow::bail!("{failed} checks have failed"),
    }
}

impl DoctorArgs {
    /// KV events of the workers, or where none are given, of those behind the front ends.
    fn feeds(&self) -> Result<Vec<kvroute::live::kv_events::subscriber::Feed>> {
        let workers = self.worker.len();
        self.server.feeds(if workers > 0 { workers } else { self.server.kv_events() })
    }
}
