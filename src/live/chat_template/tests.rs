//! What transformers renders and encodes is in `cases.json`, made by `scripts/live/chat-template-cases.py`.

use super::*;
use crate::live::tokenizer::tests::from_json;
use serde_json::json;

fn recorded() -> (Json, Tokenizer) {
    let recorded: Json = serde_json::from_str(include_str!("cases.json")).unwrap();
    let tokenizer = from_json(&recorded["tokenizer"]);
    (recorded, tokenizer)
}

fn config() -> Json {
    json!({"bos_token": "<s>", "eos_token": {"content": "</s>", "special": true}})
}

fn template(source: &str, tokenizer: &Tokenizer) -> Result<ChatTemplate> {
    ChatTemplate::new("test".into(), source.to_string(), &config(), tokenizer)
}

fn chat(messages: &Json) -> Vec<Said<'_>> {
    messages
        .as_array()
        .unwrap()
        .iter()
        .map(|message| (message[0].as_str().unwrap(), message[1].as_str().unwrap()))
        .collect()
}

#[test]
fn prompts_are_rendered_and_encoded_as_transformers_does_it() {
    let (recorded, tokenizer) = recorded();
    let cases = recorded["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let name = case["template"].as_str().unwrap();
        let source = recorded["templates"][name].as_str().unwrap();
        let template = template(source, &tokenizer).unwrap();
        let messages = chat(&recorded["chats"][case["chat"].as_str().unwrap()]);
        assert_eq!(template.render(&messages).unwrap(), case["text"].as_str().unwrap(), "{name}");
        assert_eq!(json!(template.prompt_ids(&tokenizer, &messages).unwrap()), case["ids"]);
    }
}

#[test]
fn a_completion_has_the_special_tokens_that_the_tokenizer_adds() {
    let (recorded, tokenizer) = recorded();
    let completion = &recorded["completion"];
    let ids = tokenizer.encode_prompt(completion["text"].as_str().unwrap());
    assert_eq!(json!(ids), completion["ids"]);
}

#[test]
fn a_growing_prompt_has_the_ids_of_the_whole() {
    let (recorded, tokenizer) = recorded();
    for (name, source) in recorded["templates"].as_object().unwrap() {
        let template = template(source.as_str().unwrap(), &tokenizer).unwrap();
        let cuttable = ["chatml", "headers", "instructions", "thinking"].contains(&name.as_str());
        assert_eq!(template.marks.is_empty(), !cuttable, "{name}: {:?}", template.marks);
        let mut growing = GrowingPrompt::default();
        let mut messages = vec![("user", "Hello the world")];
        for turn in 0..6 {
            let ids = growing.ids(&template, &tokenizer, &messages).unwrap();
            assert_eq!(ids, template.prompt_ids(&tokenizer, &messages).unwrap(), "{name} {turn}");
            assert!(turn == 0 || !cuttable || growing.ids.len() > 10, "{name}: nothing is kept");
            let answer = if turn == 3 { "x<|im_end|>\n</s> the" } else { "<think>\n</think> all" };
            messages.extend([("assistant", answer), ("user", "  tell the\n")]);
        }
        // Another conversation with the same prompt.
        let other = [("user", "Hello all")];
        let ids = growing.ids(&template, &tokenizer, &other).unwrap();
        assert_eq!(ids, template.prompt_ids(&tokenizer, &other).unwrap());
    }
}

#[test]
fn the_template_is_found_beside_the_tokenizer() {
    let (recorded, tokenizer) = recorded();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    let rendered = |path: &Path| {
        let template = ChatTemplate::load(path, &tokenizer).unwrap();
        template.render(&[("user", "hi")]).unwrap()
    };
    let missing = ChatTemplate::load(folder.path(), &tokenizer).err().unwrap().to_string();
    assert!(missing.contains("holds no chat template"), "{missing}");
    write("tokenizer.json", recorded["tokenizer"].to_string());
    write("tokenizer_config.json", json!({"chat_template": "one {{ bos_token }}"}).to_string());
    assert_eq!(rendered(folder.path()), "one ");
    let named =
        json!([{"name": "tool_use", "template": "no"}, {"name": "default", "template": "two"}]);
    write("tokenizer_config.json", json!({"chat_template": named}).to_string());
    assert_eq!(rendered(&folder.path().join("tokenizer.json")), "two");
    write("chat_template.jinja", "three {{ messages[0].content }}".into());
    assert_eq!(rendered(folder.path()), "three hi");
}

#[test]
fn a_refusal_names_the_file_and_says_why() {
    let (_, tokenizer) = recorded();
    let refused = |source: &str| template(source, &tokenizer).err().unwrap().to_string();
    let broken = refused("{% if %}");
    assert!(broken.contains("test cannot be read") && broken.contains("completions"), "{broken}");
    let unwilling = refused("{{ raise_exception('no system prompts') }}");
    assert!(unwilling.contains("no system prompts"), "{unwilling}");
}
