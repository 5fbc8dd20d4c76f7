//! Tokenizers in Hugging Face's format (`tokenizer.json`), and a small one that is always at hand.
//!
//! Texts are counted as the user's text of a message is: no special tokens are added, nothing is cut
//! or padded, whatever the file says of them.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer as Model;

/// Byte-level BPE of 2,048 tokens, trained on a book: any text has tokens, and it is small.
const DEFAULT: &[u8] = include_bytes!("tokenizer/default.json");

/// What the embedded tokenizer is called.
const DEFAULT_NAME: &str = "embedded";

/// The file that a folder of a model holds.
const FILE: &str = "tokenizer.json";

/// Turns text into tokens. Shared freely between threads.
pub struct Tokenizer {
    model: Model,
    name: String,
}

impl Tokenizer {
    /// The tokenizer of a file or of a model's folder; without a path the embedded one.
    ///
    /// # Errors
    /// Where there is no such file, or it is no tokenizer.
    pub fn load(path: Option<&Path>) -> Result<Tokenizer> {
        let Some(path) = path else {
            return Tokenizer::parse(DEFAULT, DEFAULT_NAME.into())
                .map_err(|why| Error::Run(format!("the embedded tokenizer is broken: {why}")));
        };
        let file = file(path)?;
        let bytes = std::fs::read(&file).map_err(|why| Error::unreadable(&file, why))?;
        Tokenizer::parse(&bytes, path.display().to_string()).map_err(|why| {
            Error::input(format!(
                "{} is no tokenizer in Hugging Face's format: {why}; give the tokenizer.json of the \
                 model, or leave out --tokenizer",
                file.display()
            ))
        })
    }

    /// Reads a `tokenizer.json`.
    fn parse(bytes: &[u8], name: String) -> std::result::Result<Tokenizer, String> {
        let mut model = Model::from_bytes(bytes).map_err(|why| why.to_string())?;
        model.with_padding(None).with_truncation(None).map_err(|why| why.to_string())?;
        // What can fail at all fails here: later texts come from servers, in the middle of a run.
        model
            .encode_fast("Hello h\u{e9}llo \u{4e16}\u{754c}", false)
            .map_err(|why| why.to_string())?;
        Ok(Tokenizer { model, name })
    }

    /// What to call it: its path as it was given, or `embedded`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of `text`, tokens.
    pub fn count(&self, text: &str) -> usize {
        // No text that a tokenizer could be loaded with makes it fail; if one did, it would have none.
        self.model.encode_fast(text, false).map_or(0, |encoding| encoding.len())
    }

    /// Token ids of `text`.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let encoding = self.model.encode_fast(text, false);
        encoding.map_or(Vec::new(), |encoding| encoding.get_ids().to_vec())
    }

    /// Token ids of a whole prompt: with what the tokenizer puts before or after it.
    pub fn encode_prompt(&self, text: &str) -> Vec<u32> {
        let encoding = self.model.encode_fast(text, true);
        encoding.map_or(Vec::new(), |encoding| encoding.get_ids().to_vec())
    }

    /// Special tokens that are recognised in texts whatever stands around them, in order of id.
    pub(super) fn special_tokens(&self) -> Vec<String> {
        let mut tokens: Vec<_> = self.model.get_added_tokens_decoder().into_iter().collect();
        tokens.sort_unstable_by_key(|(id, _)| *id);
        let plain = tokens
            .into_iter()
            .map(|(_, token)| token)
            .filter(|token| token.special && !(token.lstrip || token.rstrip || token.single_word));
        plain.map(|token| token.content).collect()
    }

    /// The vocabulary in order of id, without added tokens, as the model spells it.
    pub(super) fn vocabulary(&self) -> Vec<String> {
        let mut entries: Vec<(u32, String)> =
            self.model.get_vocab(false).into_iter().map(|(text, id)| (id, text)).collect();
        entries.sort_unstable();
        entries.into_iter().map(|(_, text)| text).collect()
    }
}

/// The file meant by `path`.
fn file(path: &Path) -> Result<PathBuf> {
    let found = if path.is_dir() { path.join(FILE) } else { path.to_path_buf() };
    if found.is_file() {
        return Ok(found);
    }
    let cure = "nothing is downloaded: give a tokenizer.json or a folder that holds one, or leave out \
                --tokenizer for the embedded one";
    Err(Error::input(if path.is_dir() {
        format!("--tokenizer {}: the folder holds no {FILE}; {cure}", path.display())
    } else {
        format!("--tokenizer {}: there is no such file; {cure}", path.display())
    }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A byte-level BPE without merges: every ASCII byte is a token, and no word is. As
    /// `../shared/peers/dynamo-model.py` makes it.
    pub(in crate::live) fn bytes_only() -> Tokenizer {
        let letters = (b'!'..=b'~').map(char::from).chain(['\u{120}', '\u{10a}']);
        let mut vocabulary: Vec<String> = letters.map(String::from).collect();
        vocabulary.extend((0..100).map(|number| format!("\u{120}w{number}")));
        let vocabulary: serde_json::Map<String, serde_json::Value> =
            vocabulary.into_iter().zip(0u32..).map(|(text, id)| (text, id.into())).collect();
        with_model(&serde_json::json!({"type": "BPE", "vocab": vocabulary, "merges": []}))
    }

    /// A byte-level tokenizer around a model.
    pub(in crate::live) fn with_model(model: &serde_json::Value) -> Tokenizer {
        let level = serde_json::json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
        });
        let file = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": level, "post_processor": null, "decoder": level,
            "model": model,
        });
        from_json(&file)
    }

    /// The tokenizer of a `tokenizer.json`.
    pub(in crate::live) fn from_json(file: &serde_json::Value) -> Tokenizer {
        Tokenizer::parse(file.to_string().as_bytes(), "test".into()).unwrap()
    }

    /// A tokenizer of the shared data, or `None` with a loud note where it is absent.
    pub(in crate::live) fn shared(name: &str) -> Option<Tokenizer> {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tokenizers").join(name);
        if path.exists() {
            return Some(Tokenizer::load(Some(&path)).unwrap());
        }
        eprintln!("SKIPPED: {} is absent, so this test has checked nothing", path.display());
        None
    }

    fn refusal(path: &Path) -> String {
        Tokenizer::load(Some(path)).err().map(|error| error.to_string()).unwrap()
    }

    #[test]
    fn the_embedded_tokenizer_counts_any_text() {
        let tokenizer = Tokenizer::load(None).unwrap();
        assert_eq!(tokenizer.name(), "embedded");
        assert_eq!(tokenizer.count(""), 0);
        assert!(tokenizer.count("\u{1f642} \u{4e16}\u{754c}\n") > 3);
        let text = "It was the hound of which I had heard.";
        assert_eq!(tokenizer.encode(text).len(), tokenizer.count(text));
    }

    #[test]
    fn recorded_pairs_of_text_and_ids_agree() {
        let Some(tokenizer) = shared("gpt2_tokenizer.json") else { return };
        assert_eq!(tokenizer.encode("Hello world"), [15496, 995]);
    }

    #[test]
    fn a_folder_stands_for_the_tokenizer_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), DEFAULT).unwrap();
        let tokenizer = Tokenizer::load(Some(folder.path())).unwrap();
        assert_eq!(tokenizer.name(), folder.path().display().to_string());
        assert_eq!(tokenizer.count("the"), 1);
    }

    #[test]
    fn what_the_file_says_of_cutting_and_padding_is_ignored() {
        let text = String::from_utf8(DEFAULT.to_vec()).unwrap();
        let cut = r#""truncation": {"direction":"Right","max_length":2,"strategy":"LongestFirst","stride":0}"#;
        let text = text.replacen(r#""truncation": null"#, cut, 1);
        let tokenizer = Tokenizer::parse(text.as_bytes(), "cut".into()).unwrap();
        assert!(tokenizer.count("one two three four five six") > 2);
    }

    #[test]
    fn a_refusal_names_the_file_and_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let missing = refusal(Path::new("Qwen/Qwen3-8B"));
        assert!(missing.contains("Qwen/Qwen3-8B") && missing.contains("nothing is downloaded"));
        assert!(refusal(folder.path()).contains("holds no tokenizer.json"));
        let broken = folder.path().join(FILE);
        std::fs::write(&broken, "{\"version\": \"1.0\"").unwrap();
        let broken = refusal(&broken);
        assert!(broken.contains(FILE) && broken.contains("leave out --tokenizer"), "{broken}");
    }
}
