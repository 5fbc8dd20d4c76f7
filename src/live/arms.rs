//! Arms: ways to route one workload, compared on the same cluster.
//!
//! Each arm runs the workload once per run, under the run's seed. The arms take turns: run `r` begins
//! with arm `r` and every second round goes backwards, so that over the runs no arm is always first,
//! last, or after the same other. Caches can be emptied before each; without that, every run's own seed
//! gives texts that no cache has seen.

use super::client::{Client, Target};
use super::clock::Clock;
use super::connect;
use super::dispatch::{CacheNews, Dispatch, InTurn, PromptBlocks, Routed, SegmentBlocks};
use super::options::LiveOptions;
use super::run;
use crate::error::{Error, Result};
use crate::router::{self, Frontend, frontend::ClusterFacts};
use crate::scenario::Scenario;
use hyper::Method;

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
                Target::page(url, "/").map(|_| Reset::Url(url.to_string()))
            }
            other => Err(Error::input(format!(
                "--reset-kv-cache {other}: choose vllm, sglang, none, or give the URL to POST to"
            ))),
        }
    }

    fn targets(&self, endpoints: &[Target]) -> Result<Vec<Target>> {
        match self {
            Reset::None => Ok(Vec::new()),
            Reset::Url(url) => Ok(vec![Target::page(url, "/")?]),
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
    run::runtime(1)?.block_on(async {
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

/// What a router of ours learns of its workers besides its own decisions.
pub struct Senses {
    /// Keys of a prompt's blocks, the same as in `news`.
    pub blocks: Box<dyn PromptBlocks>,
    /// What the workers hold.
    pub news: Box<dyn CacheNews>,
}

/// Who chooses the endpoints of `arm`. Without `senses` a router that keeps an index has its own
/// decisions to go by.
///
/// # Errors
/// Where the router is not known, or can only be simulated.
pub fn dispatch(
    arm: &Arm,
    scenario: &Scenario,
    seed: u64,
    senses: Option<Senses>,
) -> Result<Box<dyn Dispatch>> {
    let Some(mode) = &arm.router else {
        return Ok(Box::new(InTurn::new(arm.targets.len())));
    };
    let mut spec = scenario.router.clone();
    spec.kv.events = senses.is_some();
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
    let frontend = Frontend::new(policy, &spec.kv, facts, seed, 0);
    let (blocks, news) = match senses {
        Some(Senses { blocks, news }) => (blocks, Some(news)),
        None => (Box::new(SegmentBlocks { block_tokens }) as Box<dyn PromptBlocks>, None),
    };
    Ok(Box::new(Routed::new(frontend, blocks, news, block_tokens)))
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
