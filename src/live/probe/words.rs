//! A few exchanges that show what the server's template and tokenizer make of our texts.

use super::super::conversation::Role;
use super::super::server_tokens::{AnswerSample, ServerTokens};
use super::Probe;
use super::asker::What;
use crate::error::{Error, Result};
use crate::units::Nanos;

impl Probe<'_> {
    /// Exchanges with the first endpoint.
    pub(super) async fn words(&mut self) -> Result<()> {
        for length in [32, 45] {
            let texts =
                [self.asker.fresh(length), self.asker.fresh(length), self.asker.fresh(length)];
            let [first, second, third] = texts.map(What::Text);
            let says = [(Role::System, &[first][..]), (Role::User, &[second][..])];
            let system = self.asker.ask(0, &says, 1).await.map_err(Error::from)?;
            self.samples.systems.push((2 * length, system.prompt_tokens()));
            let says = [
                (Role::User, &[first][..]),
                (Role::Assistant, &[second][..]),
                (Role::User, &[third][..]),
            ];
            let exchange = self.asker.ask(0, &says, 1).await.map_err(Error::from)?;
            self.samples.exchanges.push((3 * length, exchange.prompt_tokens()));
        }
        self.samples.block_tokens = self.block_tokens();
        self.answers().await
    }

    /// Answers that come back: after prompts that end so many tokens before the end of a block, for that
    /// many tokens of the answer must be the same for the block to be hit.
    async fn answers(&mut self) -> Result<()> {
        let block = self.samples.block_tokens;
        let known = ServerTokens::estimate(&self.samples);
        let mut short = 1;
        let limit = Nanos(self.spec.limit.as_nanos() as u64);
        while short <= block.min(64) && self.asker.clock.now() <= limit {
            let template = known.before + known.after_user;
            // Two blocks of text at least, so that some of the prompt is hit in any case.
            let blocks = (template + short).div_ceil(block) + 2;
            let texts = f64::from(blocks * block - template - short);
            self.answer((texts / known.text_ratio).round() as u32, short).await?;
            short *= 2;
        }
        Ok(())
    }

    async fn answer(&mut self, length: u32, short: u32) -> Result<()> {
        const MORE: u32 = 24;
        let (text, more) =
            (self.asker.fresh(length), self.asker.fresh(MORE + self.samples.block_tokens));
        let first = self.asker.say(0, &[text], short + 8).await.map_err(Error::from)?;
        if first.answer.text.is_empty() || first.record.usage.is_none() {
            return Ok(());
        }
        let said = What::Answer(&first.answer.text);
        let (text_part, more_part) = (What::Text(text), What::Text(more));
        let says = [
            (Role::User, &[text_part][..]),
            (Role::Assistant, &[said][..]),
            (Role::User, &[more_part][..]),
        ];
        let next = self.asker.ask(0, &says, 1).await.map_err(Error::from)?;
        let cached = next.record.hit_tokens();
        cached.filter(|cached| *cached > 0).into_iter().for_each(|cached| self.hit(cached));
        self.samples.answers.push(AnswerSample {
            prompt: first.prompt_tokens(),
            output: first.record.usage.map_or(0, |usage| usage.completion_tokens),
            texts: length + more.tokens,
            next: next.prompt_tokens(),
            cached,
        });
        Ok(())
    }
}
