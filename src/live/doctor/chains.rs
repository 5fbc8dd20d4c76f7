//! Whether the blocks that a worker stored are those of a prompt as we tokenise it; if not, from where
//! on, and what kind of difference it is.
//!
//! Blocks name their parents, so each stands for all tokens from the beginning of a prompt to its end.
//! Of these chains, the one that agrees with our token ids for longest is the prompt's.

use crate::live::kv_events::message::Stored;
use rustc_hash::FxHashMap;

/// Tokens of ours that are looked for in the server's, to tell a shift from another tokenizer.
const WINDOW: usize = 8;

/// How a prompt and the blocks stored for it compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// No blocks were stored, or none that a prompt begins with.
    Nothing,
    /// All full blocks were stored as we have them.
    Whole {
        /// How many.
        blocks: usize,
    },
    /// These were stored as we have them, and of the others nothing was heard.
    Part {
        /// Blocks stored.
        blocks: usize,
        /// Full blocks of the prompt.
        of: usize,
    },
    /// The tokens part.
    Differs {
        /// Tokens in common, from the beginning.
        at: usize,
        /// Our token there.
        ours: u32,
        /// The server's.
        theirs: u32,
        /// Our tokens from the middle of the prompt stand so far behind in the server's, or (negative)
        /// before; `None` where they do not occur.
        shift: Option<isize>,
    },
}

/// Compares token ids `ours` with `stored`, of which those from `since` on were stored for the prompt.
pub(super) fn compare(stored: &[Stored], since: usize, ours: &[u32]) -> Match {
    let mut known: FxHashMap<u64, (Option<u64>, &[u32])> = FxHashMap::default();
    for one in stored {
        let mut parent = one.parent;
        let size = (one.block_tokens as usize).max(1);
        for (hash, tokens) in one.hashes.iter().zip(one.tokens.chunks(size)) {
            known.insert(*hash, (parent, tokens));
            parent = Some(*hash);
        }
    }
    let lasts =
        stored[since..].iter().filter_map(|one| Some((one.hashes.last()?, one.block_tokens)));
    let chains = lasts.filter_map(|(last, size)| Some((chain(&known, *last)?, size as usize)));
    let common = |theirs: &[u32]| ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let best = chains
        .map(|(theirs, size)| (common(&theirs), theirs, size.max(1)))
        .max_by_key(|(common, theirs, _)| (*common, theirs.len()));
    let Some((common, theirs, size)) = best else { return Match::Nothing };
    let of = ours.len() / size;
    match (ours.get(common), theirs.get(common)) {
        _ if common / size >= of => Match::Whole { blocks: of },
        (Some(ours_there), Some(theirs_there)) => Match::Differs {
            at: common,
            ours: *ours_there,
            theirs: *theirs_there,
            shift: shift(ours, &theirs),
        },
        _ => Match::Part { blocks: common / size, of },
    }
}

/// The tokens from the beginning of a prompt to the end of block `last`; `None` where its beginning is
/// not known.
fn chain(known: &FxHashMap<u64, (Option<u64>, &[u32])>, last: u64) -> Option<Vec<u32>> {
    let mut blocks = Vec::new();
    let mut next = Some(last);
    while let Some(hash) = next {
        let (parent, tokens) = known.get(&hash)?;
        blocks.push(*tokens);
        // Names that go round in a circle are no chain.
        if blocks.len() > known.len() {
            return None;
        }
        next = *parent;
    }
    blocks.reverse();
    Some(blocks.concat())
}

fn shift(ours: &[u32], theirs: &[u32]) -> Option<isize> {
    let middle = ours.len() / 2;
    let window = ours.get(middle..middle + WINDOW)?;
    let found = theirs.windows(WINDOW).position(|other| other == window)?;
    Some(found as isize - middle as isize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::kv_events::message::Place;

    /// Blocks of 4 tokens behind `parent`, named by the first token of each.
    fn stored(parent: Option<u64>, tokens: &[u32]) -> Stored {
        Stored {
            hashes: tokens.chunks(4).map(|block| u64::from(block[0])).collect(),
            parent,
            tokens: tokens.to_vec(),
            block_tokens: 4,
            salts: Vec::new(),
            place: Place::Device,
        }
    }

    fn ours() -> Vec<u32> {
        (100..150).collect()
    }

    #[test]
    fn blocks_that_came_in_pieces_are_one_prompt() {
        let ours = ours();
        let events = [
            stored(None, &ours[..8]),
            stored(None, &[1, 2, 3, 4]),
            stored(Some(104), &ours[8..48]),
        ];
        assert_eq!(compare(&events, 1, &ours), Match::Whole { blocks: 12 });
        assert_eq!(compare(&events[..2], 0, &ours), Match::Part { blocks: 2, of: 12 });
        assert_eq!(compare(&events[..2], 2, &ours), Match::Nothing);
        assert_eq!(compare(&events[2..], 0, &ours), Match::Nothing);
    }

    #[test]
    fn a_prompt_that_begins_otherwise_is_shifted() {
        let theirs: Vec<u32> = [7, 8].into_iter().chain(100..146).collect();
        let found = compare(&[stored(None, &theirs)], 0, &ours());
        assert_eq!(found, Match::Differs { at: 0, ours: 100, theirs: 7, shift: Some(2) });
    }

    #[test]
    fn a_prompt_of_other_tokens_is_not() {
        let theirs: Vec<u32> = (100..110).chain(500..530).collect();
        let found = compare(&[stored(None, &theirs)], 0, &ours());
        assert_eq!(found, Match::Differs { at: 10, ours: 110, theirs: 500, shift: None });
    }

    #[test]
    fn names_in_a_circle_are_no_chain() {
        let mut one = stored(Some(104), &ours()[..8]);
        one.hashes = vec![100, 104];
        assert_eq!(compare(&[one], 0, &ours()), Match::Nothing);
    }
}
