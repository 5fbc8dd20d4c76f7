//! Prompts that no cache can know, and what they are in tokens by our reckoning.

use crate::error::Result;
use crate::live::body::EndpointType;
use crate::live::chat_template::ChatTemplate;
use crate::live::text::Texts;
use crate::prompt::mix;
use std::path::Path;

/// A text, and its length by our tokenizer.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub words: String,
    /// Tokens of the text alone.
    pub tokens: u32,
    /// Token ids of the whole prompt as the server should have them; `None` where that cannot be known.
    pub ids: Option<Vec<u32>>,
}

/// Makes prompts.
pub(super) struct Prompts<'a> {
    texts: &'a Texts,
    endpoint: EndpointType,
    /// The model's own tokenizer was given.
    pub own_tokenizer: bool,
    /// `None` for plain completions, or where `no_template` says why there is none.
    template: Option<ChatTemplate>,
    /// Why whole prompts cannot be known.
    pub no_ids: Option<String>,
    seed: u64,
    made: u64,
}

impl<'a> Prompts<'a> {
    /// From the tokenizer at `path`, if any; `seed` makes them new.
    pub fn new(
        texts: &'a Texts,
        path: Option<&Path>,
        endpoint: EndpointType,
        seed: u64,
    ) -> Prompts<'a> {
        let (template, no_ids) = match (path, endpoint) {
            (None, _) => (None, Some("no --tokenizer was given".to_string())),
            (Some(_), EndpointType::Completions) => (None, None),
            (Some(path), EndpointType::Chat) => match load(path, texts) {
                Ok(template) => (Some(template), None),
                Err(why) => (None, Some(why.to_string())),
            },
        };
        let own_tokenizer = path.is_some();
        Prompts { texts, endpoint, own_tokenizer, template, no_ids, seed, made: 0 }
    }

    /// New text of exactly `tokens` tokens.
    pub fn new_words(&mut self, tokens: u32) -> Text {
        let words = self.random(tokens, true);
        self.text(words)
    }

    /// `text` and then as much more.
    pub fn longer(&mut self, text: &Text, tokens: u32) -> Text {
        let words = text.words.clone() + &self.random(tokens, false);
        self.text(words)
    }

    /// Text on which tokenizers differ, `rounds` times; it always begins and ends alike.
    pub fn tricky(&mut self, rounds: u32) -> Text {
        self.made += 1;
        let mut words = String::from("Read this:");
        for round in 0..rounds {
            let draw = mix(&[self.seed, self.made, u64::from(round)]);
            words += &format!(
                " {draw} {draw:x}, it's Æsop's naïve café; 世界、こんにちは \u{1f642} привет ΑΒΓ\n\tif \
                 (x_{}>=0x{:X}) {{ return f(a[{}]); }} # antidisestablishmentarianism, 3.14159e-{}",
                draw % 997,
                draw % 65_521,
                draw % 89,
                draw % 31
            );
        }
        self.text(words + " and so on.")
    }

    fn random(&mut self, tokens: u32, at_start: bool) -> String {
        self.made += 1;
        let mut words = Vec::new();
        let content = mix(&[self.seed, self.made]);
        self.texts.pieces.write(&mut words, content, 0, tokens, at_start);
        String::from_utf8_lossy(&words).into_owned()
    }

    fn text(&self, words: String) -> Text {
        let tokenizer = &self.texts.tokenizer;
        let tokens = tokenizer.count(&words) as u32;
        let ids = match (&self.template, self.endpoint) {
            (Some(template), _) => template.prompt_ids(tokenizer, &[("user", &words)]).ok(),
            (None, EndpointType::Completions) if self.own_tokenizer => {
                Some(tokenizer.encode_prompt(&words))
            }
            (None, _) => None,
        };
        Text { words, tokens, ids }
    }
}

fn load(path: &Path, texts: &Texts) -> Result<ChatTemplate> {
    ChatTemplate::load(path, &texts.tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_prompts_are_alike_and_a_longer_one_begins_with_the_shorter() {
        let texts = Texts::load(None).unwrap();
        let mut prompts = Prompts::new(&texts, None, EndpointType::Chat, 1);
        let (first, second) = (prompts.new_words(600), prompts.new_words(600));
        assert_eq!((first.tokens, second.tokens), (600, 600));
        assert_ne!(first.words[..20], second.words[..20]);
        let longer = prompts.longer(&first, 50);
        assert!(longer.words.starts_with(&first.words) && longer.tokens == 650);
        assert!(first.ids.is_none() && prompts.no_ids.is_some());
        let other = Prompts::new(&texts, None, EndpointType::Chat, 2).new_words(600);
        assert_ne!(other.words[..20], first.words[..20]);
    }

    #[test]
    fn tricky_text_grows_by_its_rounds() {
        let texts = Texts::load(None).unwrap();
        let mut prompts = Prompts::new(&texts, None, EndpointType::Completions, 1);
        let (short, long) = (prompts.tricky(1), prompts.tricky(4));
        assert!(long.tokens > 3 * short.tokens && short.tokens > 50, "{short:?} {long:?}");
        assert!(long.words.ends_with(" and so on.") && long.words.starts_with("Read this: "));
    }
}
