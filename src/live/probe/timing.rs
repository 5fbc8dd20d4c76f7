//! The measurements of times.

use super::super::conversation::Role;
use super::asker::{Answered, Asked, Unanswered, What};
use super::{BesideRow, DecodeRow, PrefillRow, Probe};
use crate::error::{Error, Result};
use crate::prompt::Segment;
use crate::units::Nanos;
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;

/// Lengths of prompts in a round.
const LENGTHS: u32 = 6;
/// Tokens that a decoding batch makes.
const OUTPUT: u32 = 16;
/// Tokens of a request that decodes while a prompt arrives.
const LONG_OUTPUT: u32 = 28;
/// Fewer gaps than this are no measurement.
const MIN_GAPS: usize = 6;
/// A prompt that would take more than this share of the whole time is not sent.
const MOST_OF_TIME: u32 = 12;
/// Times that all endpoints are asked at once.
const TOGETHER: usize = 5;

impl Probe<'_> {
    /// Prompts of several lengths: new ones, and then the same continued.
    pub(super) async fn prompts(&mut self, endpoint: usize, round: u32) -> Result<()> {
        for place in 0..LENGTHS {
            let length = self.length(place, round);
            if self.takes_too_long(length) {
                return Ok(());
            }
            let text = self.asker.fresh(length);
            let new = match self.asker.say(endpoint, &[text], 1).await {
                Ok(answered) => answered,
                // The server takes no prompt of this length.
                Err(Unanswered::Refused(_)) if place > 0 => {
                    self.longest = self.length(place - 1, round);
                    return Ok(());
                }
                Err(why) => return Err(why.into()),
            };
            self.single(endpoint, length, &new);
            // Little and much that is new on the cached beginning, in turn.
            let more = [16, length / 4, length / 2][((place + round) % 3) as usize].max(8);
            let rest = self.asker.fresh(more);
            match self.asker.say(endpoint, &[text, rest], 1).await {
                Ok(continued) => self.continued(endpoint, (length, more), &continued),
                Err(Unanswered::Refused(_)) => return Ok(()),
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// From a few dozen tokens to the longest, evenly in their logarithm; in every round others, so that
    /// they end everywhere within a block.
    fn length(&self, place: u32, round: u32) -> u32 {
        let (low, high) = (f64::from((self.longest / 48).clamp(16, 64)), f64::from(self.longest));
        let length = low * (high / low).powf(f64::from(place) / f64::from(LENGTHS - 1));
        let shift = (place * 11 + round * 5) % 16;
        (length as u32).saturating_sub(shift).max(16)
    }

    /// By the slowest rate seen so far.
    fn takes_too_long(&self, length: u32) -> bool {
        let Some(row) = self.found.prefill.iter().max_by_key(|row| row.uncached) else {
            return false;
        };
        let per_token = row.ttft.0 / u64::from(row.uncached.max(1));
        let most = self.spec.limit / MOST_OF_TIME / self.endpoints as u32;
        length > row.uncached && u128::from(per_token * u64::from(length)) > most.as_nanos()
    }

    /// A new prompt of one message was answered.
    fn single(&mut self, endpoint: usize, texts: u32, answered: &Answered) {
        self.samples.singles.push((texts, answered.prompt_tokens()));
        self.found.tells_hits |= answered.record.hit_tokens().is_some();
        self.prefill(endpoint, answered, answered.record.hit_tokens().unwrap_or(0));
    }

    fn continued(&mut self, endpoint: usize, (text, more): (u32, u32), answered: &Answered) {
        self.samples.singles.push((text + more, answered.prompt_tokens()));
        // Where hits are not told, nobody knows what was computed.
        let Some(cached) = answered.record.hit_tokens() else { return };
        self.found.tells_hits = true;
        if cached > 0 {
            self.samples.continued.push((text, cached));
            self.hit(cached);
        }
        self.prefill(endpoint, answered, cached);
    }

    fn prefill(&mut self, endpoint: usize, answered: &Answered, cached: u32) {
        let Some(ttft) = answered.record.ttft() else { return };
        let uncached = answered.prompt_tokens().saturating_sub(cached).max(1);
        if !self.is_one_step(uncached, 0) {
            return;
        }
        self.found.prefill.push(PrefillRow { endpoint, cached, uncached, ttft });
    }

    /// Requests that decode together: 1, 2, 4, ..., on short and long contexts in turn.
    pub(super) async fn batches(&mut self, endpoint: usize, round: u32) -> Result<()> {
        let mut batch = 1;
        for place in 0.. {
            if batch > self.spec.batch.max(1) || !self.has_time_for(Nanos::ZERO) {
                return Ok(());
            }
            let long = (place + round).is_multiple_of(2);
            let length = self.length(if long { LENGTHS - 2 } else { 1 }, round);
            if !self.takes_too_long(length * 2) {
                self.batch(endpoint, batch, length).await?;
            }
            batch *= 2;
        }
        Ok(())
    }

    async fn batch(&mut self, endpoint: usize, batch: u32, length: u32) -> Result<()> {
        let text = self.asker.fresh(length);
        // Computed once, and cached for the batch where the server caches; each worker has its own cache.
        for _ in 0..self.spec.workers.max(1) {
            self.asker.say(endpoint, &[text], 1).await.map_err(Error::from)?;
        }
        let all = batch * self.spec.workers.max(1);
        let begun: Vec<Asked> = (0..all)
            .map(|_| self.begin(endpoint, text, OUTPUT, None))
            .collect::<Result<Vec<_>>>()?;
        let mut answers = Vec::new();
        for asked in begun {
            answers.push(self.asker.end(asked).await.map_err(Error::from)?);
        }
        let (context, itl) = match together(&answers) {
            Some(found) => found,
            None => return Ok(()),
        };
        self.found.decode.push(DecodeRow { endpoint, batch, context, itl });
        Ok(())
    }

    fn begin(
        &self,
        endpoint: usize,
        text: Segment,
        output: u32,
        first_token: Option<tokio::sync::mpsc::UnboundedSender<u64>>,
    ) -> Result<Asked> {
        let says = [(Role::User, &[What::Text(text)][..])];
        self.asker.begin(endpoint, &says, output, first_token).map_err(Error::from)
    }

    /// Prompts that arrive while another request decodes.
    pub(super) async fn beside(&mut self, endpoint: usize, round: u32) -> Result<()> {
        if self.spec.workers != 1 {
            return Ok(());
        }
        for place in 0..3 {
            if !self.has_time_for(Nanos::ZERO) {
                return Ok(());
            }
            self.one_beside(endpoint, self.length(place + 1, round)).await?;
        }
        Ok(())
    }

    async fn one_beside(&mut self, endpoint: usize, length: u32) -> Result<()> {
        let context = self.asker.fresh(64);
        let (told, mut tokens) = unbounded_channel();
        let decoding = self.begin(endpoint, context, LONG_OUTPUT, Some(told))?;
        // The sender goes with the request: where it fails, this ends too.
        if tokens.recv().await.is_some() {
            let itl = self.found.decode.first().map_or(Nanos(5_000_000), |row| row.itl);
            tokio::time::sleep(Duration::from_nanos(2 * itl.0)).await;
        }
        let text = self.asker.fresh(length);
        let prompt = self.asker.say(endpoint, &[text], 1).await.map_err(Error::from)?;
        let decoding = self.asker.end(decoding).await.map_err(Error::from)?;
        let (Some(first), Some(last)) = (prompt.record.first_token, decoding.record.last_token)
        else {
            return Ok(());
        };
        if last <= first {
            return Ok(());
        }
        // The step that computed the prompt is the longest of those while it was there. Not the one that
        // ends with its first token: on its way to us that takes longer than another's next one.
        let sent = prompt.record.sent.unwrap_or(Nanos::ZERO);
        let while_there =
            |(end, gap): &(Nanos, Nanos)| *end >= sent && end.saturating_sub(*gap) <= first;
        let longest = decoding.gaps().into_iter().filter(while_there).map(|(_, gap)| gap).max();
        if let Some(gap) = longest {
            let context =
                decoding.prompt_tokens() + decoding.record.output_tokens.max(LONG_OUTPUT) / 2;
            let cached = prompt.record.hit_tokens().unwrap_or(0);
            let uncached = prompt.prompt_tokens().saturating_sub(cached).max(1);
            if self.is_one_step(uncached, 1) {
                self.found.beside.push(BesideRow { endpoint, context, uncached, gap });
            }
        }
        Ok(())
    }

    /// All endpoints at once against one at a time.
    pub(super) async fn together(&mut self) -> Result<()> {
        if self.endpoints < 2 {
            return Ok(());
        }
        let length = self.length(LENGTHS / 2, 0);
        let (mut alone, mut at_once) = (Vec::new(), Vec::new());
        for turn in 0..TOGETHER {
            if !self.has_time_for(Nanos::ZERO) {
                break;
            }
            let text = self.asker.fresh(length);
            let one = self.asker.say(turn % self.endpoints, &[text], 1).await;
            alone.extend(one.map_err(Error::from)?.record.ttft());
            let begun: Vec<Asked> = (0..self.endpoints)
                .map(|endpoint| self.begin(endpoint, self.asker.fresh(length), 1, None))
                .collect::<Result<Vec<_>>>()?;
            for asked in begun {
                at_once.extend(self.asker.end(asked).await.map_err(Error::from)?.record.ttft());
            }
        }
        let median = |mut times: Vec<Nanos>| {
            times.sort_unstable();
            times.get(times.len() / 2).map(|time| time.as_ms_f64())
        };
        let pair = median(at_once).zip(median(alone));
        self.found.slowdown = pair.map(|(at_once, alone)| at_once / alone);
        Ok(())
    }

    /// Cached tokens were seen.
    pub(super) fn hit(&mut self, cached: u32) {
        self.cached.push(cached);
        let divisor = self.cached.iter().fold(0, |divisor, cached| gcd(divisor, *cached));
        // Two or three numbers may have more in common than the block.
        self.found.hits_in_steps_of = (self.cached.len() >= 5).then_some(divisor);
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// While all of a batch decode: mean context and median gap.
fn together(answers: &[Answered]) -> Option<(u32, Nanos)> {
    let from = answers.iter().filter_map(|answered| answered.record.first_token).max()?;
    let to = answers.iter().filter_map(|answered| answered.record.last_token).min()?;
    let within = |(end, gap): &(Nanos, Nanos)| *end <= to && end.saturating_sub(*gap) >= from;
    let mut gaps: Vec<Nanos> =
        answers.iter().flat_map(Answered::gaps).filter(within).map(|(_, gap)| gap).collect();
    if gaps.len() < MIN_GAPS {
        return None;
    }
    gaps.sort_unstable();
    let prompt = answers.iter().map(Answered::prompt_tokens).max()?;
    Some((prompt + OUTPUT / 2, gaps[gaps.len() / 2]))
}
