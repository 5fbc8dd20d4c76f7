//! How large are the servers' blocks, and are the workload's prompts longer?

use super::super::finding::{Check, Finding};
use super::super::visit::Visit;
use super::{Facts, number};
use crate::error::Result;
use crate::live::conversation::{Conversations, has_system_prompt};
use crate::live::expected::Expected;
use crate::scenario::Scenario;
use crate::units::Nanos;
use crate::workload::Source;
use std::collections::BTreeSet;

/// Requests of the workload that are looked at.
const REQUESTS: u64 = 500;

/// The size of blocks that the servers tell, against the one that kvroute takes them to have.
pub fn size(facts: &Facts, visits: &[Visit]) -> Finding {
    let check = Check::BlockSize;
    let ours = facts.block_tokens;
    let known: Vec<u32> = facts.block_sizes.iter().copied().collect();
    match known[..] {
        [] => guessed(ours, visits).warn_if(!facts.block_tokens_given),
        [size] if size == ours => {
            Finding::pass(check, format!("{size} tokens, as the servers say"))
        }
        [size] => Finding::fail(
            check,
            format!("the servers' blocks have {size} tokens, and {ours} are assumed"),
            if facts.block_tokens_given {
                "--block-tokens is wrong"
            } else {
                "--block-tokens is missing"
            },
            format!("give --block-tokens {size}"),
        )
        .warn_if(!facts.block_tokens_given),
        _ => Finding::fail(
            check,
            format!("the servers have blocks of different sizes: {known:?} tokens"),
            "workers were started with different block sizes",
            "start all of them with the same one (vLLM: --block-size; SGLang: --page-size)",
        ),
    }
}

/// Nobody tells: cached tokens come in whole blocks.
fn guessed(ours: u32, visits: &[Visit]) -> Finding {
    let check = Check::BlockSize;
    let sent = visits.iter().flat_map(|visit| visit.repeats.iter().chain(&visit.longer));
    let cached: Vec<u32> =
        sent.filter_map(|sent| sent.cached()).filter(|cached| *cached > 0).collect();
    let Some(first) = cached.first() else {
        return Finding::skip(check, "not known: no server tells, and no prompt was cached");
    };
    if cached.iter().all(|cached| cached % ours == 0) {
        return Finding::pass(
            check,
            format!("cached tokens come in multiples of {ours}, such as {first}"),
        );
    }
    let common = cached.iter().fold(0, |a, b| gcd(a, *b));
    Finding::fail(
        check,
        format!("cached tokens come in numbers such as {first}, not in multiples of {ours}"),
        format!("blocks do not have {ours} tokens, but some divisor of {common}"),
        "give the size of the server's blocks with --block-tokens (vLLM: --block-size, SGLang: \
         --page-size)",
    )
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What a workload's prompts are to blocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lengths {
    /// Prompts looked at.
    prompts: u64,
    /// Of these, those in which no block can be found again.
    short: u64,
    shortest: u32,
    longest: u32,
    /// Their tokens, and those an infinite cache would hold.
    tokens: u64,
    hits: u64,
}

/// Looks at the first requests of the workload, in blocks of `block_tokens`.
///
/// # Errors
/// Where it cannot be read.
pub fn lengths(scenario: &Scenario, source: &mut dyn Source, block_tokens: u32) -> Result<Lengths> {
    let mut conversations = Conversations::new(has_system_prompt(&scenario.workload));
    let mut expected = Expected::new(block_tokens);
    let mut found = Lengths { shortest: u32::MAX, ..Lengths::default() };
    while found.prompts < REQUESTS {
        let Some(at) = source.next_arrival()? else { break };
        let request = source.take()?;
        let prompt = conversations.prompt(&request);
        found.prompts += 1;
        // The last token is always computed.
        found.short += u64::from(prompt.tokens <= block_tokens);
        found.shortest = found.shortest.min(prompt.tokens);
        found.longest = found.longest.max(prompt.tokens);
        found.tokens += u64::from(prompt.tokens);
        found.hits += u64::from(expected.sent(&prompt));
        source.on_complete(request.id, at.max(Nanos(1)));
    }
    Ok(found)
}

/// Prompts against blocks.
pub fn workload(name: &str, found: &Lengths, block_tokens: u32) -> Finding {
    let check = Check::Workload;
    let Lengths { prompts, short, shortest, longest, tokens, hits } = *found;
    if prompts == 0 {
        return Finding::skip(check, format!("{name} has no requests"));
    }
    let cure = "take longer prompts (--isl), or start the server with smaller blocks (vLLM: --block-size; \
                SGLang: --page-size; Dynamo's mocker: --block-size) and say so with --block-tokens";
    if short == prompts {
        return Finding::fail(
            check,
            format!(
                "prompts of {name} have {shortest} to {longest} tokens, and a block has {block_tokens}"
            ),
            "prompts are shorter than a block: only full blocks are cached, and of a prompt of one block \
             the last token is computed anew, so nothing is ever found in a cache",
            cure,
        );
    }
    if short > 0 {
        return Finding::warn(
            check,
            format!(
                "{short} of the first {prompts} prompts of {name} are no longer than a block of \
                 {block_tokens} tokens"
            ),
            "nothing of these is ever found in a cache",
            cure,
        );
    }
    if hits == 0 {
        return Finding::warn(
            check,
            format!(
                "of the first {prompts} prompts of {name} no block of {block_tokens} tokens is shared"
            ),
            "they have nothing in common, or less than a block, so KV-aware routing has nothing to win",
            "take a workload that shares prefixes, or smaller blocks",
        );
    }
    let share = 100.0 * hits as f64 / tokens.max(1) as f64;
    Finding::pass(
        check,
        format!(
            "prompts of {name} have {shortest} to {longest} tokens; of the first {prompts} caches could \
             give up to {} %",
            number(share)
        ),
    )
}

/// The sizes of blocks that servers tell.
pub type Sizes = BTreeSet<u32>;
