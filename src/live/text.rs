//! Text of exactly as many tokens as a segment has, made without encoding anything.
//!
//! [`Pieces`] are texts that give one token each, in whatever order they are joined: words with a
//! space before them, or, where the vocabulary has no such words, single letters. Token `i` of
//! content `c` is a piece drawn by hashing (c, i), so a text is a pure function of its content id, a
//! shorter one begins the longer one, and different contents differ from the start. Pieces consist of
//! letters and spaces only: nothing needs escaping, wherever the text goes.

use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};
use rustc_hash::FxHashSet;
use std::path::Path;

/// No more pieces than this: they should stay in the nearest caches.
const MOST: usize = 2048;

/// With fewer pieces than this, texts would repeat themselves too soon.
const LEAST: usize = 16;

/// A piece lies in a slot of this many bytes, its length in the last of them.
const SLOT: usize = 16;

/// Longest piece, bytes.
const LONGEST: usize = SLOT - 1;

/// Texts that pieces are tried in, and how many tokens each of them has.
const TRIALS: u64 = 64;
const TRIAL_TOKENS: u32 = 200;

/// Pieces are written this many at a time.
const CHUNK: usize = 64;

/// Letters and words that are one token wherever they stand.
pub struct Pieces {
    slots: Vec<[u8; SLOT]>,
}

impl Pieces {
    /// The pieces of a tokenizer: the first words of its vocabulary, else letters.
    ///
    /// # Errors
    /// Where it joins neither words nor letters one token each.
    pub fn find(tokenizer: &Tokenizer) -> Result<Pieces> {
        let letters = ('A'..='Z').chain('a'..='z').map(String::from);
        words(tokenizer)
            .and_then(|pieces| pieces.tried(tokenizer))
            .or_else(|| {
                let single = letters.filter(|letter| tokenizer.count(letter) == 1);
                Pieces::of(single).tried(tokenizer)
            })
            .ok_or_else(|| {
                Error::input(format!(
                    "the tokenizer {} has neither {LEAST} English words nor {LEAST} letters that are \
                     one token each wherever they stand, so no text of an exact number of tokens can \
                     be made; use the model's own tokenizer.json, or leave out --tokenizer",
                    tokenizer.name()
                ))
            })
    }

    fn of(texts: impl IntoIterator<Item = String>) -> Pieces {
        let slot = |text: String| {
            let mut slot = [0; SLOT];
            slot[..text.len()].copy_from_slice(text.as_bytes());
            slot[LONGEST] = text.len() as u8;
            slot
        };
        Pieces { slots: texts.into_iter().filter(|text| text.len() <= LONGEST).map(slot).collect() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// Appends tokens `from .. from + tokens` of the text of `content`.
    ///
    /// The first token of a message goes without its leading space, which chat templates trim.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        content: u64,
        from: u32,
        tokens: u32,
        at_message_start: bool,
    ) {
        let mut draws = Draws::new(content, from);
        let mut left = tokens as usize;
        let mut trim = at_message_start;
        let mut buffer = [0u8; CHUNK * SLOT];
        while left > 0 {
            let count = left.min(CHUNK);
            let mut end = 0;
            for _ in 0..count {
                // The whole slot is copied, a fixed length; the next piece overwrites its rest.
                let slot = &self.slots[draws.next(self.slots.len())];
                buffer[end..end + SLOT].copy_from_slice(slot);
                end += usize::from(slot[LONGEST]);
            }
            let skip = usize::from(trim && buffer[0] == b' ');
            out.extend_from_slice(&buffer[skip..end]);
            trim = false;
            left -= count;
        }
    }

    /// Without the pieces that merge with their neighbours in random texts; `None` where too few
    /// are left.
    fn tried(mut self, tokenizer: &Tokenizer) -> Option<Pieces> {
        for _ in 0..LEAST {
            if self.count() < LEAST {
                return None;
            }
            let bad = self.failures(tokenizer);
            if bad.is_empty() {
                return Some(self);
            }
            let mut place = 0;
            self.slots.retain(|_| {
                place += 1;
                !bad.contains(&(place - 1))
            });
        }
        None
    }

    /// Places of the pieces at which trial texts first go wrong, and of those before them.
    fn failures(&self, tokenizer: &Tokenizer) -> FxHashSet<usize> {
        let alone: Vec<Vec<u32>> =
            self.slots.iter().map(|slot| tokenizer.encode(text(slot))).collect();
        let mut bad = FxHashSet::default();
        for trial in 0..TRIALS {
            let mut bytes = Vec::new();
            self.write(&mut bytes, trial, 0, TRIAL_TOKENS, true);
            let found = tokenizer.encode(std::str::from_utf8(&bytes).unwrap_or(""));
            if found.len() == TRIAL_TOKENS as usize {
                continue;
            }
            let mut draws = Draws::new(trial, 0);
            let drawn: Vec<usize> =
                (0..TRIAL_TOKENS).map(|_| draws.next(self.slots.len())).collect();
            // The first token has lost its space, so it may have another id: it is not compared.
            let wrong = (1..drawn.len()).find(|at| found.get(*at) != alone[drawn[*at]].first());
            let wrong = wrong.unwrap_or(drawn.len() - 1);
            bad.extend([drawn[wrong], drawn[wrong - 1]]);
        }
        bad
    }
}

/// Which piece each token is: splitmix64 seeded by the content, from any token on.
struct Draws(u64);

impl Draws {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    fn new(content: u64, from: u32) -> Draws {
        // Mixed first, so that contents a multiple of the step apart are no shifted copies.
        Draws(finish(content ^ Self::STEP).wrapping_add(u64::from(from).wrapping_mul(Self::STEP)))
    }

    /// The next token's piece, of `count`.
    fn next(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(Self::STEP);
        (((finish(self.0) >> 32) * count as u64) >> 32) as usize
    }
}

/// The finaliser of splitmix64.
fn finish(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn text(slot: &[u8; SLOT]) -> &str {
    std::str::from_utf8(&slot[..usize::from(slot[LONGEST])]).expect("pieces are ASCII")
}

/// Words of the vocabulary that are one token with a space before them, and without one at the start
/// of a text.
fn words(tokenizer: &Tokenizer) -> Option<Pieces> {
    let vocabulary = tokenizer.vocabulary();
    // How the space before a word is spelled: byte-level, SentencePiece, or plainly.
    let marked: Vec<&str> = ['\u{120}', '\u{2581}', ' ']
        .into_iter()
        .map(|mark| vocabulary.iter().filter_map(|entry| entry.strip_prefix(mark)).collect())
        .find(|marked: &Vec<&str>| marked.iter().any(|word| is_word(word)))
        // Or not at all (WordPiece): words are words.
        .unwrap_or_else(|| vocabulary.iter().map(String::as_str).collect());
    let pieces = marked
        .into_iter()
        .filter(|word| is_word(word))
        .filter(|word| tokenizer.count(word) == 1 && tokenizer.count(&format!(" {word}")) == 1)
        .map(|word| format!(" {word}"))
        .take(MOST);
    let pieces = Pieces::of(pieces);
    (pieces.count() >= LEAST).then_some(pieces)
}

fn is_word(text: &str) -> bool {
    (1..LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Text for prompts, shared by all runs of a program.
pub struct Texts {
    /// Counts.
    pub tokenizer: Tokenizer,
    /// Writes.
    pub pieces: Pieces,
}

impl Texts {
    /// Reads the tokenizer and finds its pieces.
    ///
    /// # Errors
    /// Where it cannot be read, or has no pieces of one token.
    pub fn load(path: Option<&Path>) -> Result<Texts> {
        let tokenizer = Tokenizer::load(path)?;
        let pieces = Pieces::find(&tokenizer)?;
        Ok(Texts { tokenizer, pieces })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer::tests::{bytes_only, shared, with_model};
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static EMBEDDED: LazyLock<(Tokenizer, Pieces)> = LazyLock::new(|| {
        let tokenizer = Tokenizer::load(None).unwrap();
        let pieces = Pieces::find(&tokenizer).unwrap();
        (tokenizer, pieces)
    });

    static GPT2: LazyLock<Option<(Tokenizer, Pieces)>> = LazyLock::new(|| {
        let tokenizer = shared("gpt2_tokenizer.json")?;
        let pieces = Pieces::find(&tokenizer).unwrap();
        Some((tokenizer, pieces))
    });

    static BYTES: LazyLock<(Tokenizer, Pieces)> = LazyLock::new(|| {
        let tokenizer = bytes_only();
        let pieces = Pieces::find(&tokenizer).unwrap();
        (tokenizer, pieces)
    });

    fn all() -> Vec<&'static (Tokenizer, Pieces)> {
        [Some(&*EMBEDDED), GPT2.as_ref(), Some(&*BYTES)].into_iter().flatten().collect()
    }

    fn written(pieces: &Pieces, parts: &[(u64, u32, u32)]) -> String {
        let mut out = Vec::new();
        for (place, (content, from, tokens)) in parts.iter().enumerate() {
            pieces.write(&mut out, *content, *from, *tokens, place == 0);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn common_tokenizers_have_plenty_of_words() {
        assert!(EMBEDDED.1.count() >= 200, "{}", EMBEDDED.1.count());
        if let Some((_, pieces)) = &*GPT2 {
            assert_eq!(pieces.count(), MOST);
        }
    }

    #[test]
    fn a_tokenizer_without_words_gives_text_of_letters() {
        let (tokenizer, pieces) = &*BYTES;
        assert_eq!(pieces.count(), 52);
        let text = written(pieces, &[(7, 0, 300)]);
        assert_eq!((text.len(), tokenizer.count(&text)), (300, 300));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphabetic()));
    }

    #[test]
    fn pieces_that_merge_with_their_neighbours_are_dropped() {
        // One letter a token, but "qu" is one as well.
        let letters = ('a'..='z').chain('A'..='Z').map(String::from).chain(["qu".to_string()]);
        let vocabulary: serde_json::Map<String, serde_json::Value> =
            letters.zip(0u32..).map(|(text, id)| (text, id.into())).collect();
        let tokenizer = with_model(
            &serde_json::json!({"type": "BPE", "vocab": vocabulary, "merges": [["q", "u"]]}),
        );
        let pieces = Pieces::find(&tokenizer).unwrap();
        assert!((LEAST..52).contains(&pieces.count()), "{}", pieces.count());
        let text = written(&pieces, &[(1, 0, 5000)]);
        assert_eq!(tokenizer.count(&text), 5000);
    }

    #[test]
    fn a_tokenizer_that_knows_neither_words_nor_letters_is_refused() {
        let tokenizer =
            with_model(&serde_json::json!({"type": "BPE", "vocab": {"0": 0}, "merges": []}));
        let why = Pieces::find(&tokenizer).err().unwrap().to_string();
        assert!(why.contains("neither 16 English words nor 16 letters"), "{why}");
    }

    #[test]
    fn a_message_begins_without_a_space_and_its_parts_with_one() {
        let text = written(&EMBEDDED.1, &[(1, 0, 3), (2, 0, 3)]);
        assert!(!text.starts_with(' '));
        assert_eq!(text.split(' ').count(), 6);
    }

    #[test]
    fn neighbouring_contents_differ_within_their_first_tokens() {
        for (_, pieces) in all() {
            let starts: FxHashSet<String> =
                (0..2000).map(|content| written(pieces, &[(content, 0, 8)])).collect();
            assert_eq!(starts.len(), 2000);
        }
    }

    #[test]
    fn contents_one_step_apart_are_no_shifted_copies() {
        let pieces = &EMBEDDED.1;
        let late = written(pieces, &[(5, 1, 20)]);
        assert_ne!(late, written(pieces, &[(5u64.wrapping_add(Draws::STEP), 0, 20)]));
    }

    fn some_parts() -> impl Strategy<Value = Vec<(u64, u32, u32)>> {
        prop::collection::vec((any::<u64>(), 0u32..1000, 1u32..300), 1..6)
    }

    proptest! {
        #[test]
        fn every_text_has_exactly_the_tokens_asked_for(parts in some_parts()) {
            let asked: usize = parts.iter().map(|(.., tokens)| *tokens as usize).sum();
            for (tokenizer, pieces) in all() {
                let text = written(pieces, &parts);
                prop_assert_eq!(tokenizer.count(&text), asked, "{}: {}", tokenizer.name(), text);
                prop_assert!(text.bytes().all(|byte| byte == b' ' || byte.is_ascii_alphabetic()));
            }
        }

        #[test]
        fn a_shorter_text_begins_the_longer_one(
            content in any::<u64>(), short in 1u32..300, more in 1u32..300,
        ) {
            for (_, pieces) in all() {
                let whole = written(pieces, &[(content, 0, short + more)]);
                let split = written(pieces, &[(content, 0, short), (content, short, more)]);
                prop_assert!(whole.starts_with(&written(pieces, &[(content, 0, short)])));
                prop_assert_eq!(whole, split);
            }
        }
    }
}
