//! Whether a front end spreads requests over its workers: many new prompts at once, and then who has
//! worked.

use super::SetUp;
use super::ears::Ears;
use super::finding::{Check, Finding};
use super::pages::{Looked, Pages};
use super::probe::{Prober, Sent};
use super::prompts::Prompts;

/// Requests for each worker: at random, a worker gets none of them once in 3,000 times.
const REQUESTS: usize = 8;
/// More are never sent.
const MOST: usize = 64;
/// Tokens of a prompt, and blocks that it has at least.
const LENGTH: u32 = 128;
const BLOCKS: u32 = 2;
/// Output tokens: so many that the requests are in flight together.
const OUTPUT: u32 = 8;

/// Who did the work.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    /// Requests answered.
    pub answered: usize,
    /// Their prompts, tokens by the server's count.
    pub tokens: u32,
    /// Workers, and whether they did any of it.
    pub workers: Vec<(String, bool)>,
}

/// Sends prompts through `probers` at once. Who works is told by pages with counters of `engines`, or
/// else by KV events; `None` where fewer than two workers can be told apart.
pub(super) async fn look(
    probers: &[Prober<'_>],
    prompts: &mut Prompts<'_>,
    (pages, looked, engines): (&Pages, &mut Looked, &[bool]),
    ears: &mut Ears,
    block_tokens: u32,
) -> Option<Spread> {
    let feeds = ears.heard.iter().filter(|heard| heard.live > 0).count();
    let by_pages = engines.iter().filter(|engine| **engine).count();
    let workers = by_pages.max(if feeds > 0 { ears.heard.len() } else { 0 });
    if probers.is_empty() || workers < 2 {
        return None;
    }
    let length = LENGTH.max(BLOCKS.saturating_mul(block_tokens));
    let before: Vec<u64> = ears.heard.iter().map(|heard| heard.live).collect();
    let mark = ears.mark();
    let mut sent = Vec::new();
    for number in 0..MOST.min(REQUESTS * workers) {
        let text = prompts.new_words(length);
        sent.push(probers[number % probers.len()].send(text, OUTPUT));
    }
    let sent = together(sent).await;
    ears.listen(&mark).await;
    let answered = sent.iter().filter(|sent| sent.answered()).count();
    let tokens = sent.iter().filter(|sent| sent.answered()).filter_map(Sent::prompt_tokens).sum();
    let after = pages.look_after(looked, tokens).await;
    let counted = pages.change(looked, &after);
    *looked = after;
    let workers = if by_pages >= 2 {
        let sources = counted.sources.iter().zip(engines).filter(|(_, engine)| **engine);
        let worked = |tokens: Option<f64>| tokens.is_some_and(|tokens| tokens > 0.0);
        sources.map(|(source, _)| (source.url.clone(), worked(source.query_tokens))).collect()
    } else {
        let feeds = ears.heard.iter().zip(before);
        feeds.map(|(heard, before)| (heard.endpoint.clone(), heard.live > before)).collect()
    };
    Some(Spread { answered, tokens, workers })
}

/// Runs all of `futures` at once.
async fn together<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none()
                && let std::task::Poll::Ready(done) = future.as_mut().poll(cx)
            {
                *result = Some(done);
            }
        }
        match results.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// What the spread says.
pub(super) fn check(set_up: &SetUp, spread: Option<&Spread>) -> Finding {
    let check = Check::Spread;
    let Some(spread) = spread else {
        return Finding::skip(
            check,
            if set_up.fronts == 0 {
                "kvroute itself spreads the requests over --worker"
            } else {
                "fewer than two workers can be told apart; give the pages of all workers behind the front \
                 end with --metrics-url, or their --kv-events-endpoint"
            },
        );
    };
    let Spread { answered, workers, .. } = spread;
    let idle: Vec<&str> =
        workers.iter().filter(|(_, worked)| !worked).map(|(name, _)| name.as_str()).collect();
    let all = workers.len();
    match all - idle.len() {
        0 => Finding::skip(check, format!("no worker shows any of the {answered} requests sent")),
        busy if busy == all => Finding::pass(
            check,
            format!("{answered} new prompts at once went to all {all} workers"),
        ),
        1 => {
            let busy = workers.iter().find(|(_, worked)| *worked);
            let busy = busy.map_or("", |(name, _)| name);
            Finding::fail(
                check,
                format!(
                    "all of {answered} new prompts sent at once went to one of {all} workers, {busy}"
                ),
                "the front end knows no other worker, keeps clients or sessions at one, or weighs a prefix \
                 that all prompts share (a system prompt in the chat template) above load",
                "look which workers are registered with it; switch session affinity off; where a load \
                 balancer chooses by connection, use --connection per-request; raise the router's \
                 temperature or lower its overlap weight",
            )
        }
        busy => Finding::warn(
            check,
            format!(
                "{answered} new prompts at once went to {busy} of {all} workers; idle: {}",
                idle.join(", ")
            ),
            "those are not registered with the front end, or it avoids them",
            "look which workers are registered with it, and whether their pages are the right ones",
        ),
    }
}
