//! Prompts as the server sees them: the model's chat template, and the token ids of what it renders.
//!
//! Blocks are matched by token ids, so these must be exactly the server's. The template is that of the
//! tokenizer's folder (`chat_template.jinja`, else `tokenizer_config.json`), rendered as transformers
//! does it: `trim_blocks`, `lstrip_blocks`, special tokens as variables, a generation prompt. Special
//! tokens in the text are recognised, and none is added: the template writes them.
//!
//! Not followed: `chat_template_kwargs`, tools, and templates that want contents as lists of parts.

mod functions;

use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};
use minijinja::value::Value;
use minijinja::{Environment, context};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a message is to a template: who says it, and what.
pub type Said<'a> = (&'a str, &'a str);

/// The template's name in its environment.
const NAME: &str = "chat";

/// Variables that are special tokens.
const TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A model's chat template. Shared freely between threads.
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Special tokens by the name of their variable.
    tokens: Vec<(&'static str, String)>,
    /// Where it was found.
    origin: PathBuf,
    /// Special tokens that prompts hold and may be cut before.
    marks: Vec<String>,
}

impl ChatTemplate {
    /// The template beside a tokenizer: `path` is what [`Tokenizer::load`] takes, the tokenizer's
    /// file or the model's folder; `tokenizer` is what that gave.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read or renders no conversation.
    pub fn load(path: &Path, tokenizer: &Tokenizer) -> Result<ChatTemplate> {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let file = folder.join("tokenizer_config.json");
        let config = if file.is_file() {
            let text = std::fs::read_to_string(&file);
            let text = text.map_err(|why| Error::unreadable(&file, why))?;
            serde_json::from_str(&text).map_err(|why| Error::unreadable(&file, why))?
        } else {
            Json::Null
        };
        let separate = folder.join("chat_template.jinja");
        let (origin, source) = if separate.is_file() {
            let text = std::fs::read_to_string(&separate);
            let text = text.map_err(|why| Error::unreadable(&separate, why))?;
            (separate, text)
        } else {
            let source = configured(&config["chat_template"]).ok_or_else(|| none(folder))?;
            (file, source)
        };
        ChatTemplate::new(origin, source, &config, tokenizer)
    }

    fn new(
        origin: PathBuf,
        source: String,
        config: &Json,
        tokenizer: &Tokenizer,
    ) -> Result<ChatTemplate> {
        let environment = functions::environment(NAME, &source).map_err(|why| {
            Error::input(format!(
                "the chat template of {} cannot be read: {why:#}; use --endpoint-type completions, \
                 which needs none",
                origin.display()
            ))
        })?;
        let token = |name: &'static str| {
            let value = &config[name];
            let text = value.as_str().or_else(|| value["content"].as_str())?;
            Some((name, text.to_string()))
        };
        let tokens = TOKENS.into_iter().filter_map(token).collect();
        let mut template = ChatTemplate { environment, tokens, origin, marks: Vec::new() };
        template.marks = template.find_marks(tokenizer)?;
        Ok(template)
    }

    /// The prompt of `messages`, the last of which is the user's, as text.
    ///
    /// # Errors
    /// Where the template refuses the conversation.
    pub fn render(&self, messages: &[Said]) -> Result<String> {
        let message =
            |&(role, text): &Said| context! { role => role, content => Value::from(text) };
        let mut variables: BTreeMap<&str, Value> =
            self.tokens.iter().map(|(name, text)| (*name, Value::from(text.as_str()))).collect();
        variables.extend([
            ("messages", Value::from(messages.iter().map(message).collect::<Vec<_>>())),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(true)),
        ]);
        let template = self.environment.get_template(NAME);
        let variables = Value::from(variables);
        template.and_then(|template| template.render(variables)).map_err(|why| {
            Error::input(format!(
                "the chat template of {} refuses a conversation: {why:#}",
                self.origin.display()
            ))
        })
    }

    /// The token ids of a prompt, as the server has them.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn prompt_ids(&self, tokenizer: &Tokenizer, messages: &[Said]) -> Result<Vec<u32>> {
        Ok(tokenizer.encode(&self.render(messages)?))
    }

    /// The special tokens that a conversation holds, if a text may be cut before each of them and
    /// encoded in pieces.
    fn find_marks(&self, tokenizer: &Tokenizer) -> Result<Vec<String>> {
        let turns = [("user", "One two"), ("assistant", "three four"), ("user", "five")];
        let text = self.render(&turns)?;
        let mut marks = tokenizer.special_tokens();
        marks.retain(|mark| text.contains(mark.as_str()));
        let whole = tokenizer.encode(&text);
        let cuts = marks.iter().flat_map(|mark| text.match_indices(mark.as_str()));
        let equal = |at: usize| {
            [tokenizer.encode(&text[..at]), tokenizer.encode(&text[at..])].concat() == whole
        };
        if cuts.into_iter().all(|(at, _)| equal(at)) { Ok(marks) } else { Ok(Vec::new()) }
    }
}

/// The template of a configuration: one, or the one called `default` of several.
fn configured(value: &Json) -> Option<String> {
    let named = || {
        let list = value.as_array()?;
        list.iter().find(|entry| entry["name"] == "default")?["template"].as_str()
    };
    value.as_str().or_else(named).map(String::from)
}

fn none(folder: &Path) -> Error {
    Error::input(format!(
        "{} holds no chat template (neither chat_template.jinja nor chat_template in \
         tokenizer_config.json), so the server's prompts cannot be known; give the model's own folder \
         as --tokenizer, or use --endpoint-type completions",
        folder.display()
    ))
}

/// The prompt of a session that grows from turn to turn: only what is new is encoded.
#[derive(Clone, Debug, Default)]
pub struct GrowingPrompt {
    /// The latest prompt up to its last special token.
    text: String,
    /// Its token ids.
    ids: Vec<u32>,
}

impl GrowingPrompt {
    /// As [`ChatTemplate::prompt_ids`]; fast where `messages` go on from those of the last call.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn ids(
        &mut self,
        template: &ChatTemplate,
        tokenizer: &Tokenizer,
        messages: &[Said],
    ) -> Result<Vec<u32>> {
        let text = template.render(messages)?;
        if !text.starts_with(&self.text) {
            *self = GrowingPrompt::default();
        }
        let new = &text[self.text.len()..];
        let cut = template.marks.iter().filter_map(|mark| new.rfind(mark.as_str())).max();
        let (before, after) = new.split_at(cut.unwrap_or(0));
        if !before.is_empty() {
            self.ids.extend(tokenizer.encode(before));
            self.text.push_str(before);
        }
        let mut ids = self.ids.clone();
        ids.extend(tokenizer.encode(after));
        Ok(ids)
    }
}

#[cfg(test)]
mod tests;
