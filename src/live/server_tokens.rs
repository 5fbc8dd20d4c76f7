//! How the server counts the tokens of our prompts: what its chat template and tokenizer make of our
//! texts, as far as a few requests can tell. So no tokenizer of the model is needed.
//!
//! A prompt is to the server: something before the first text, the texts, something after each message.
//! Where hits end says how much stands before; what a server counts says how much there is in all. An
//! answer that comes back in the next prompt is tokenised anew, and that need not give the tokens it
//! was made of: their blocks are hit only up to the first that differs.

use super::conversation::{Part, Prompt, Role};
use crate::prompt::{Segment, mix};
use crate::stats::quantile;
use serde::Serialize;

/// Marks contents that stand for what the template writes.
const TEMPLATE: u64 = 0x7465_6d70_6c61_7465;
/// Marks contents that stand for an answer tokenised anew.
const ANEW: u64 = 0x616e_6577_616e_6577;
/// A ratio this near to 1 is 1: the rest is a token more or less somewhere.
const EXACT: f64 = 0.003;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerTokens {
    /// The server's tokens per token of ours, in our own texts.
    pub text_ratio: f64,
    /// Tokens before the first text.
    pub before: u32,
    /// Tokens after a system message.
    pub after_system: u32,
    /// Tokens after a user's message: what opens the answer is among them.
    pub after_user: u32,
    /// Tokens after an answer.
    pub after_answer: u32,
    /// Tokens of an answer within a later prompt, per token when it was made.
    pub answer_ratio: f64,
    /// Probability that the next token of an answer is the same when the answer is tokenised anew.
    pub answer_same: f64,
}

impl Default for ServerTokens {
    fn default() -> ServerTokens {
        ServerTokens {
            text_ratio: 1.0,
            before: 0,
            after_system: 0,
            after_user: 0,
            after_answer: 0,
            answer_ratio: 1.0,
            answer_same: 1.0,
        }
    }
}

/// What requests have told. Lengths are tokens: (of our texts, by the server).
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Prompts of a single user's message.
    pub singles: Vec<(u32, u32)>,
    /// Prompts of a system and a user's message.
    pub systems: Vec<(u32, u32)>,
    /// Prompts of a user's message, an answer made by us, and a user's message.
    pub exchanges: Vec<(u32, u32)>,
    /// Of prompts of one message that go on where an earlier one ended: (the earlier text, cached).
    pub continued: Vec<(u32, u32)>,
    /// Answers that came back.
    pub answers: Vec<AnswerSample>,
    /// Tokens per block.
    pub block_tokens: u32,
}

/// An answer that came back in the next prompt.
#[derive(Clone, Copy, Debug)]
pub struct AnswerSample {
    /// Tokens of the prompt it answered, by the server.
    pub prompt: u32,
    /// Tokens of the answer when it was made.
    pub output: u32,
    /// Our texts in the next prompt.
    pub texts: u32,
    /// Tokens of the next prompt, by the server.
    pub next: u32,
    /// Of these cached; `None` where the server does not say.
    pub cached: Option<u32>,
}

impl AnswerSample {
    /// Tokens of the answer that must be the same for one more block to be hit, and whether it was;
    /// `None` where this sample cannot tell.
    fn trial(&self, block: u32) -> Option<(u32, bool)> {
        let (cached, whole) = (self.cached?, self.prompt / block * block);
        let needs = block - self.prompt % block;
        // The last token of an answer is never computed; the last of a prompt is never hit.
        let told = needs < self.output && whole + block < self.next && cached >= whole;
        told.then_some((needs, cached >= whole + block))
    }
}

impl ServerTokens {
    /// What `samples` tell; what they do not is as in [`ServerTokens::default`].
    pub fn estimate(samples: &Samples) -> ServerTokens {
        let ratio = slope(&samples.singles);
        let more = |pairs: &[(u32, u32)]| {
            let beyond =
                |(ours, server): &(u32, u32)| f64::from(*server) - ratio * f64::from(*ours);
            median(pairs.iter().map(beyond).collect())
        };
        // Rounded before it is divided, so that the parts add up to what the server counts.
        let single = more(&samples.singles).unwrap_or(0.0).max(0.0).round();
        let before = before(&samples.continued, ratio, samples.block_tokens.max(1))
            .unwrap_or(single / 2.0)
            .floor()
            .clamp(0.0, single);
        let after_user = single - before;
        let system = more(&samples.systems).unwrap_or(single).max(single);
        let exchange = more(&samples.exchanges).unwrap_or(single).round().max(single) - single;
        let answer_ratio = median(
            samples
                .answers
                .iter()
                .map(|one| {
                    let rest =
                        f64::from(one.next) - single - exchange - ratio * f64::from(one.texts);
                    rest / f64::from(one.output.max(1))
                })
                .collect(),
        );
        let trials =
            samples.answers.iter().filter_map(|one| one.trial(samples.block_tokens.max(1)));
        ServerTokens {
            text_ratio: ratio,
            before: before as u32,
            after_system: (system - single).round() as u32,
            after_user: after_user as u32,
            after_answer: (exchange - after_user).max(0.0) as u32,
            answer_ratio: snapped(answer_ratio.unwrap_or(1.0).max(0.0)),
            answer_same: same(&trials.collect::<Vec<_>>()),
        }
    }

    /// The prompt as the server has it.
    pub fn prompt(&self, prompt: &Prompt) -> Vec<Segment> {
        let mut server = Vec::with_capacity(prompt.segments.len() + 2 * prompt.messages.len() + 1);
        template(&mut server, 0, self.before);
        // Parts are segments one by one, in the same order.
        let mut segments = prompt.segments.iter();
        for message in &prompt.messages {
            for (part, segment) in message.parts.iter().zip(&mut segments) {
                match part {
                    Part::Text(_) => push(&mut server, segment.content, self.text(segment.tokens)),
                    Part::Answer(_) => self.answer(&mut server, *segment),
                }
            }
            let after = match message.role {
                Role::System => self.after_system,
                Role::User => self.after_user,
                Role::Assistant => self.after_answer,
            };
            template(&mut server, 1 + message.role as u64, after);
        }
        server
    }

    /// A text of ours; one that is a beginning of another stays one.
    fn text(&self, tokens: u32) -> u32 {
        ((self.text_ratio * f64::from(tokens)).round() as u32).max(1)
    }

    /// An answer tokenised anew: the same tokens up to some place, then others.
    fn answer(&self, server: &mut Vec<Segment>, made: Segment) {
        let same = self.same_tokens(made.content).min(made.tokens);
        let anew = (self.answer_ratio * f64::from(made.tokens)).round() as u32;
        push(server, made.content, same);
        push(server, mix(&[ANEW, made.content]), anew.saturating_sub(same));
    }

    /// How many tokens of an answer stay the same: a geometric draw of its own, so that their mean is
    /// right.
    fn same_tokens(&self, content: u64) -> u32 {
        if self.answer_same >= 1.0 {
            return u32::MAX;
        }
        // Above 0 and below 1.
        let uniform = ((mix(&[TEMPLATE, content]) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        (uniform.ln() / self.answer_same.max(1e-9).ln()).floor() as u32
    }
}

fn push(segments: &mut Vec<Segment>, content: u64, tokens: u32) {
    if tokens > 0 {
        segments.push(Segment { content, tokens });
    }
}

fn template(segments: &mut Vec<Segment>, place: u64, tokens: u32) {
    push(segments, mix(&[TEMPLATE, place]), tokens);
}

fn snapped(ratio: f64) -> f64 {
    if (ratio - 1.0).abs() < EXACT { 1.0 } else { ratio }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    (!values.is_empty()).then(|| quantile(&values, 0.5))
}

/// The slope of a line through pairs; 1 where they are all alike.
fn slope(pairs: &[(u32, u32)]) -> f64 {
    let count = pairs.len() as f64;
    let sum = |of: &dyn Fn(f64, f64) -> f64| {
        pairs.iter().map(|(x, y)| of(f64::from(*x), f64::from(*y))).sum::<f64>()
    };
    let (x, y) = (sum(&|x, _| x) / count, sum(&|_, y| y) / count);
    let spread = sum(&|a, _| (a - x).powi(2));
    if spread > 0.0 { snapped(sum(&|a, b| (a - x) * (b - y)) / spread) } else { 1.0 }
}

/// Tokens before the first text: with so many, every hit ends at the last block border within what an
/// earlier prompt had in common. The middle of what most samples allow.
fn before(continued: &[(u32, u32)], ratio: f64, block: u32) -> Option<f64> {
    let ranges: Vec<(f64, f64)> = continued
        .iter()
        .map(|(text, cached)| {
            let low = f64::from(*cached) - (ratio * f64::from(*text)).round();
            (low, low + f64::from(block - 1))
        })
        .collect();
    let allowed =
        |place: f64| ranges.iter().filter(|(low, high)| (*low..=*high).contains(&place)).count();
    let from = ranges.iter().map(|range| range.0).min_by(f64::total_cmp)?.max(0.0) as u32;
    let to = ranges.iter().map(|range| range.1).max_by(f64::total_cmp)?.max(0.0) as u32;
    let counts: Vec<usize> = (from..=to).map(|place| allowed(f64::from(place))).collect();
    let most = *counts.iter().max()?;
    let best: Vec<f64> = (from..=to)
        .zip(&counts)
        .filter(|(_, count)| **count == most)
        .map(|(at, _)| f64::from(at))
        .collect();
    (most > 0).then(|| quantile(&best, 0.5))
}

/// The probability that a token stays the same which makes the trials (tokens that had to, whether they
/// did) most likely; 1 where there are none.
fn same(trials: &[(u32, bool)]) -> f64 {
    if trials.iter().all(|(_, same)| *same) {
        return 1.0;
    }
    if trials.iter().all(|(_, same)| !same) {
        return 0.0;
    }
    // The derivative of the log likelihood falls from above 0 to below 0.
    let slope = |p: f64| -> f64 {
        let of = |(tokens, same): &(u32, bool)| {
            let n = f64::from(*tokens);
            if *same { n / p } else { -n * p.powf(n - 1.0) / (1.0 - p.powf(n)) }
        };
        trials.iter().map(of).sum()
    };
    let (mut low, mut high) = (1e-9, 1.0 - 1e-9);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::conversation::{Message, answer_segment};
    use super::*;

    const BLOCK: u32 = 32;

    /// What a server tells whose template writes 4 tokens before and 7 after a user's text, 3 after a
    /// system message, 2 after an answer, and that counts `ratio` tokens for one of ours.
    fn samples(ratio: f64) -> Samples {
        let server = |texts: u32, more: u32| (ratio * f64::from(texts)).round() as u32 + more;
        let lengths = [16u32, 45, 90, 200, 410, 1001, 2003];
        let continued = |at: u32| {
            let length = 61 + 37 * at;
            (length, (4 + (ratio * f64::from(length)).round() as u32) / BLOCK * BLOCK)
        };
        Samples {
            singles: lengths.map(|length| (length, server(length, 11))).to_vec(),
            systems: vec![(64, server(64, 14)), (90, server(90, 14))],
            exchanges: vec![(96, server(96, 20))],
            continued: (0..24).map(continued).collect(),
            answers: Vec::new(),
            block_tokens: BLOCK,
        }
    }

    fn answer(prompt: u32, output: u32, anew: u32, same: u32) -> AnswerSample {
        let common = prompt + same.min(output - 1);
        let next = prompt + anew + 9 + 20;
        let cached = Some(common / BLOCK * BLOCK);
        AnswerSample { prompt, output, texts: prompt - 11 + 20, next, cached }
    }

    #[test]
    fn the_template_is_told_from_what_the_server_counts_and_hits() {
        let found = ServerTokens::estimate(&samples(1.0));
        let expected = ServerTokens {
            before: 4,
            after_system: 3,
            after_user: 7,
            after_answer: 2,
            ..ServerTokens::default()
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_template_that_cannot_be_divided_exactly_still_adds_up() {
        let mut told = samples(1.0);
        // Nothing was continued, so nobody knows where the 11 tokens stand.
        told.continued.clear();
        let found = ServerTokens::estimate(&told);
        assert_eq!((found.before, found.after_user), (5, 6));
        assert_eq!(found.after_user + found.after_answer, 9);
    }

    #[test]
    fn another_tokenizer_shows_as_a_ratio() {
        let found = ServerTokens::estimate(&samples(1.5));
        assert!((found.text_ratio - 1.5).abs() < 0.002, "{found:?}");
        assert!(found.before.abs_diff(4) <= 1 && found.after_user.abs_diff(7) <= 2, "{found:?}");
    }

    #[test]
    fn nothing_told_is_no_template() {
        assert_eq!(ServerTokens::estimate(&Samples::default()), ServerTokens::default());
    }

    #[test]
    fn answers_that_are_tokenised_as_they_were_made_stay_the_same() {
        let mut told = samples(1.0);
        told.answers = (1..20).map(|place| answer(100 + place, 40, 40, 40)).collect();
        let found = ServerTokens::estimate(&told);
        assert_eq!((found.answer_ratio, found.answer_same), (1.0, 1.0));
        told.answers = (1..20).map(|place| answer(100 + place, 40, 50, 0)).collect();
        let found = ServerTokens::estimate(&told);
        assert_eq!((found.answer_ratio, found.answer_same), (1.25, 0.0));
    }

    #[test]
    fn the_first_token_that_differs_is_geometric() {
        // Each token stays with probability 0.8: 1, 2, 4 of them with 0.8, 0.64, 0.41.
        let trials = |needs: u32, held: u32, of: u32| {
            (0..of).map(move |place| (needs, place < held)).collect::<Vec<_>>()
        };
        let told = [trials(1, 80, 100), trials(2, 64, 100), trials(4, 41, 100)].concat();
        let found = same(&told);
        assert!((found - 0.8).abs() < 0.005, "{found}");
        let tokens = ServerTokens { answer_same: found, ..ServerTokens::default() };
        let draws = 20_000;
        let sum: u64 = (0..draws).map(|content| u64::from(tokens.same_tokens(content))).sum();
        // The mean number before the first failure: p / (1 - p).
        assert!((sum as f64 / draws as f64 - 4.0).abs() < 0.15, "{sum}");
    }

    #[test]
    fn a_conversation_has_the_templates_tokens_where_they_belong() {
        let tokens = ServerTokens {
            before: 4,
            after_system: 3,
            after_user: 7,
            after_answer: 2,
            answer_ratio: 1.2,
            answer_same: 0.0,
            ..ServerTokens::default()
        };
        let text = |content, tokens| Segment { content, tokens };
        let made = answer_segment(9, 10);
        let segments = vec![text(1, 100), text(2, 20), made, text(3, 30)];
        let part = |segment: &Segment| Part::Text(*segment);
        let message = |role, parts| Message { role, parts };
        let messages = vec![
            message(Role::System, vec![part(&segments[0])]),
            message(Role::User, vec![part(&segments[1])]),
            message(Role::Assistant, vec![Part::Answer("x".into())]),
            message(Role::User, vec![part(&segments[3])]),
        ];
        let prompt = Prompt { messages, tokens: 160, segments };
        let server = tokens.prompt(&prompt);
        let lengths: Vec<u32> = server.iter().map(|segment| segment.tokens).collect();
        assert_eq!(lengths, [4, 100, 3, 20, 7, 12, 2, 30, 7]);
        assert_ne!(server[5].content, made.content, "none of its blocks is hit");
        assert_eq!(server[4].content, server[8].content);
        let kept = ServerTokens { answer_same: 1.0, ..tokens };
        assert_eq!(kept.prompt(&prompt)[5], made);
    }
}
