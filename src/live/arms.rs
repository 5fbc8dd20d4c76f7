//! Arms: ways to route one workload, compared on the same cluster.
//!
//! Each arm runs the workload once per run, under the run's seed. The arms take turns: run `r` begins
//! with arm `r` and every second round goes backwards, so that over the runs no arm is always first,
//! last, or after the same other. Caches can be emptied before each; without that, every run's own seed
//! gives texts that no cache has seen.

use super::client::{Client, Target};
use super::clock::Clock;
use super::connect;
use super::dispatch::{Dispatch, InTurn, Routed, SegmentBlocks};
use super::kv_events::Delivery;
use super::kv_events::subscriber::{Feed, Subscriber};
use super::options::LiveOptions;
use super::runtime;
use super::senses::{EventNews, TokenBlocks};
use super::text::Texts;
use crate::error::{Error, Result};
use crate::router::{self, Frontend, IndexSource, frontend::ClusterFacts};
use crate::scenario::Scenario;
use crate::units::Nanos;
use hyper::Method;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Publishers that are not there by then are not coming.
const LISTEN_LIMIT: Nanos = Nanos(30_000_000_000);
/// How long a new subscription is given to reach its publisher: what is published before is lost.
const SUBSCRIBED: Duration = Duration::from_millis(300);

/// One way to route.
#[derive(Clone, Debug)]
pub struct Arm {
    /// Its name in the results.
    pub label: String,
    /// Its endpoints.
    pub targets: Vec<Target>,
    /// A router of ours that chooses among the endpoints; `None` = the server routes, and the endpoints
    /// are taken in turn.
    pub router: Option<String>,
}

/// How a server's KV cache is emptied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Not at all.
    None,
    /// By POST to this path of every endpoint.
    Path(String),
    /// By POST to this URL.
    Url(String),
}

impl Reset {
    /// Reads `vllm`, `sglang`, `none` or a URL.
    ///
    /// # Errors
    /// Where it is none of these.
    pub fn parse(text: &str) -> Result<Reset> {
        match text {
            "none" => Ok(Reset::None),
            "vllm" => Ok(Reset::Path("/reset_prefix_cache".into())),
            "sglang" => Ok(Reset::Path("/flush_cache".into())),
            url if url.contains("://") => {
                Target::page("--reset-kv-cache", url, "/").map(|_| Reset::Url(url.to_string()))
            }
            other => Err(Error::input(format!(
                "--reset-kv-cache {other}: choose vllm, sglang, none, or give the URL to POST to"
            ))),
        }
    }

    fn targets(&self, endpoints: &[Target]) -> Result<Vec<Target>> {
        match self {
            Reset::None => Ok(Vec::new()),
            Reset::Url(url) => Ok(vec![Target::page("--reset-kv-cache", url, "/")?]),
            Reset::Path(path) => {
                let page = |target: &Target| Target { path: path.clone(), ..target.clone() };
                Ok(endpoints.iter().map(page).collect())
            }
        }
    }
}

/// The order in which `arms` arms are run in run number `run`, from 0.
pub fn order(arms: usize, run: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..arms).map(|place| (place + run) % arms).collect();
    if (run / arms.max(1)) % 2 == 1 {
        order.reverse();
    }
    order
}

/// Empties the caches of `options`' endpoints.
///
/// # Errors
/// Where a server does not do it: the comparison would begin with warm caches.
pub fn reset(options: &LiveOptions, reset: &Reset) -> Result<()> {
    let targets = reset.targets(&options.targets)?;
    if targets.is_empty() {
        return Ok(());
    }
    runtime::block_on(async {
        let client: Client = connect::client(options, &Clock::start()).await?;
        for target in targets {
            let addresses = target.resolve().await?;
            let answer = client.ask(Method::POST, &target, &addresses).await;
            answer.map_err(|fault| {
                Error::Run(format!(
                    "POST {}{}: the cache was not emptied: {}; vLLM needs VLLM_SERVER_DEV_MODE=1, or go \
                     without --reset-kv-cache",
                    target.root(),
                    target.path,
                    fault.words
                ))
            })?;
        }
        Ok(())
    })
}

/// Who chooses the endpoints of an arm, and where it hears of their caches.
pub struct Choosing<'a> {
    /// Who chooses.
    pub dispatch: Box<dyn Dispatch + 'a>,
    /// Publishers of KV events, and where what they say is expected; none where nobody listens.
    pub events: Option<Listening>,
}

/// Publishers of KV events, and where what they say is expected.
pub struct Listening {
    /// One per worker.
    pub feeds: Vec<Feed>,
    /// Where their messages go.
    pub deliveries: UnboundedSender<Delivery>,
}

impl Listening {
    /// Hears the workers' KV events, and waits until all of them are there.
    ///
    /// # Errors
    /// Where a worker's publisher does not come.
    pub(super) async fn start(
        &self,
        clock: &Clock,
        dispatch: &mut dyn Dispatch,
    ) -> Result<Subscriber> {
        let subscriber = Subscriber::start(&self.feeds, "", clock, &self.deliveries).await?;
        let limit = clock.now() + LISTEN_LIMIT;
        while let Some(missing) = dispatch.waits_for() {
            if clock.now() > limit {
                return Err(Error::input(format!(
                    "no KV events: {missing}; check --kv-events-endpoint, or go by the router's own \
                     decisions with --kv-events false"
                )));
            }
            tokio::time::sleep(SUBSCRIBED / 10).await;
        }
        tokio::time::sleep(SUBSCRIBED).await;
        Ok(subscriber)
    }
}

/// Who chooses the endpoints of `arm`. `feeds` are its workers' KV events, one per worker or none: then a
/// router that keeps an index goes by its own decisions.
///
/// # Errors
/// Where the router is not known or can only be simulated, or the model's tokenizer is needed and
/// missing.
pub fn choosing<'a>(
    arm: &Arm,
    scenario: &Scenario,
    seed: u64,
    (options, texts): (&LiveOptions, &'a Texts),
    feeds: &[Feed],
) -> Result<Choosing<'a>> {
    let Some(mode) = &arm.router else {
        let dispatch = Box::new(InTurn::new(arm.targets.len()));
        return Ok(Choosing { dispatch, events: None });
    };
    let mut spec = scenario.router.clone();
    spec.kv.events &= !feeds.is_empty();
    let policy = router::build(mode, &spec)?;
    if mode.starts_with("oracle-") || policy.needs().shared_cache {
        return Err(Error::input(format!(
            "router \"{mode}\" knows what no real router can; it can be simulated only"
        )));
    }
    let block_tokens = scenario.cluster.block_tokens;
    let facts = ClusterFacts {
        workers: arm.targets.len(),
        block_tokens,
        kv_blocks: scenario.cluster.kv_blocks.unwrap_or(u32::MAX),
    };
    let listens = policy.needs().index == IndexSource::Events && spec.kv.events;
    let frontend = Frontend::new(policy, &spec.kv, facts, seed, 0);
    let finish = |routed: Routed<'a>| -> Result<Box<dyn Dispatch + 'a>> {
        let routed = routed.explaining(scenario.output.decisions);
        if spec.metrics_interval.is_none() {
            return Ok(Box::new(routed));
        }
        a_page_each(options, arm.targets.len())?;
        Ok(Box::new(routed.by_polled_loads(scenario.cluster.kv_blocks)))
    };
    if !listens {
        let blocks = Box::new(SegmentBlocks { block_tokens });
        let dispatch = finish(Routed::new(frontend, blocks, None, block_tokens))?;
        return Ok(Choosing { dispatch, events: None });
    }
    let path = options.tokenizer.as_deref();
    let blocks = TokenBlocks::new(texts, path, options.body.endpoint, block_tokens)?;
    let (deliveries, received) = unbounded_channel();
    let news = EventNews::new(received, feeds, block_tokens);
    let routed = Routed::new(frontend, Box::new(blocks), Some(Box::new(news)), block_tokens);
    let events = Some(Listening { feeds: feeds.to_vec(), deliveries });
    Ok(Choosing { dispatch: finish(routed)?, events })
}

/// Pages of metrics belong to workers by their order.
fn a_page_each(options: &LiveOptions, workers: usize) -> Result<()> {
    if options.metrics.len() == workers {
        return Ok(());
    }
    Err(Error::input(format!(
        "--router-metrics-interval needs the metrics of all {workers} workers, and there are {} pages; give \
         --metrics-url once for each --worker, in their order",
        options.metrics.len()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_arm_is_always_first_or_last() {
        let orders: Vec<Vec<usize>> = (0..6).map(|run| order(3, run)).collect();
        assert_eq!(orders[..3], [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
        assert_eq!(orders[3..], [[2, 1, 0], [0, 2, 1], [1, 0, 2]]);
        for place in 0..3 {
            for arm in 0..3 {
                let times = orders.iter().filter(|order| order[place] == arm).count();
                assert_eq!(times, 2, "arm {arm} at place {place}");
            }
        }
    }

    #[test]
    fn ways_to_empty_a_cache() {
        assert_eq!(Reset::parse("none").unwrap(), Reset::None);
        assert_eq!(Reset::parse("vllm").unwrap(), Reset::Path("/reset_prefix_cache".into()));
        let url = "http://h:1/reset";
        assert_eq!(Reset::parse(url).unwrap(), Reset::Url(url.into()));
        assert!(Reset::parse("dynamo").unwrap_err().to_string().contains("sglang"));
    }
}
