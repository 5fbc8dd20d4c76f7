//! The options of `simulate` as lists: each stands for one scenario key, with one value or many.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use kvroute::error::Result;
use kvroute::sweep::axis;
use std::collections::BTreeMap;
use toml::Value;

struct SweptOption {
    name: &'static str,
    aliases: &'static [&'static str],
    key: &'static str,
    help: &'static str,
}

const fn option(
    name: &'static str,
    aliases: &'static [&'static str],
    key: &'static str,
    help: &'static str,
) -> SweptOption {
    SweptOption { name, aliases, key, help }
}

/// Names as in `simulate`.
const OPTIONS: &[SweptOption] = &[
    option(
        "router-mode",
        &[],
        "router.mode",
        "Routers, all of them run at every point, comma separated [default: the workload's own]",
    ),
    option(
        "kv-overlap-score-weight",
        &["router-prefill-load-scale"],
        "router.kv.overlap_weight",
        "Overlap weight of kv and kv-linear, for example 0,0.5,1,2",
    ),
    option(
        "router-temperature",
        &[],
        "router.kv.temperature",
        "Softmax temperature of kv and kv-linear, for example 0,0.1,0.5",
    ),
    option("kv-events", &["use-kv-events"], "router.kv.events", "Index from KV events or not"),
    option(
        "request-rate",
        &[],
        "workload.arrival.rate",
        "Arrivals (starts of sessions) per second, for example 5:50:5 (first:last:step)",
    ),
    option("arrival", &["arrival-pattern"], "workload.arrival.process", "Arrival process"),
    option(
        "burstiness",
        &["vllm-burstiness"],
        "workload.arrival.burstiness",
        "Shape of gamma arrivals",
    ),
    option(
        "concurrency",
        &["max-concurrency"],
        "workload.arrival.concurrency",
        "Closed loop: requests in flight",
    ),
    option("sessions", &[], "workload.arrival.sessions", "Closed loop: sessions in progress"),
    option("num-requests", &["request-count", "num-prompts"], "workload.requests", "Requests"),
    option(
        "duration",
        &["benchmark-duration"],
        "workload.duration",
        "Send nothing after this time (60s), in place of the workload's own number of requests",
    ),
    option("isl", &["input-len"], "workload.prompt_tokens", "Tokens of every (first) prompt"),
    option("osl", &["output-len"], "workload.output_tokens", "Tokens of every output"),
    option(
        "speedup",
        &["replay-speedup"],
        "workload.speedup",
        "Replay a trace so many times faster",
    ),
    option("limit", &[], "workload.limit", "At most so many requests of the trace"),
    option("workers", &[], "cluster.workers", "Workers"),
    option("block-tokens", &[], "cluster.block_tokens", "Tokens per KV block"),
    option("kv-blocks", &["num-gpu-blocks"], "cluster.kv_blocks", "KV blocks per worker"),
    option(
        "max-batched-tokens",
        &["max-num-batched-tokens"],
        "cluster.max_batched_tokens",
        "Token budget of a scheduler step",
    ),
    option(
        "max-seqs",
        &["max-num-seqs"],
        "cluster.max_seqs",
        "Running requests per worker at most",
    ),
    option("engine", &[], "cluster.engine", "Whose scheduler rules"),
    option("latency", &[], "cluster.latency", "Latency presets or files"),
    option("eviction", &[], "cluster.eviction", "Which free cached block is reused first"),
    option("slo", &[], "slo", "Limits for goodput in ms, like \"ttft:500 itl:50 e2e:5000\""),
    option("warm-up", &[], "metrics.warm_up", "Not measured: 10%, \"500 requests\" or 30s"),
];

/// What was given, by scenario key.
#[derive(Clone, Debug, Default)]
pub struct SweptOptions(BTreeMap<&'static str, String>);

impl SweptOptions {
    /// Keys and the texts of their lists.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, text)| (*key, text.as_str()))
    }

    /// The values of a key: a list, but for routers, which are run side by side.
    pub fn values(key: &str, text: &str) -> Result<Vec<Value>> {
        if key == "router.mode" { Ok(vec![Value::String(text.into())]) } else { axis::list(text) }
    }
}

impl FromArgMatches for SweptOptions {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let given = |option: &SweptOption| {
            matches.get_one::<String>(option.name).map(|text| (option.key, text.clone()))
        };
        Ok(SweptOptions(OPTIONS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = SweptOptions::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SweptOptions {
    fn augment_args(command: Command) -> Command {
        let arg = |option: &SweptOption| {
            let arg = Arg::new(option.name).long(option.name).value_name("LIST").help(option.help);
            let arg = arg.help_heading("Swept, each one value or a list");
            arg.visible_aliases(option.aliases)
        };
        command.args(OPTIONS.iter().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        SweptOptions::augment_args(command)
    }
}
