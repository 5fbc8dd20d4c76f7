//! Does the server count a prompt's tokens as we do?
//!
//! Two texts of different lengths tell what is added to every prompt (a chat template, special tokens)
//! from what goes with its length (a tokenizer).

use super::super::finding::{Check, Finding};
use super::super::visit::Visit;
use super::{Facts, plural};

/// What the server's own tokenizer is got by.
const OWN: &str = "give the folder of the model that the server runs (tokenizer.json, \
                   tokenizer_config.json, chat_template.jinja) with --tokenizer";

/// Lengths of the short and the long text.
type Lengths = [i64; 2];

/// See the module's documentation.
pub fn check(visit: &Visit, facts: &Facts) -> Option<Finding> {
    let tricky = visit.tricky.as_ref()?;
    let theirs: Option<Vec<i64>> =
        tricky.iter().map(|sent| sent.prompt_tokens().map(i64::from)).collect();
    let whole: Option<Vec<i64>> =
        tricky.iter().map(|sent| sent.text.ids.as_ref().map(|ids| ids.len() as i64)).collect();
    let texts = [0, 1].map(|at| i64::from(tricky[at].text.tokens));
    let pair = |lengths: Vec<i64>| -> Lengths { [lengths[0], lengths[1]] };
    let finding = match (theirs.map(pair), whole.map(pair)) {
        (None, _) => Finding::skip(Check::Tokenizer, "no answer says how long its prompt is"),
        (Some(theirs), Some(ours)) => exactly(ours, theirs, facts),
        (Some(theirs), None) if facts.own_tokenizer => by_growth(texts, theirs),
        (Some(theirs), None) => Finding::pass(
            Check::Tokenizer,
            format!(
                "none was given; the server makes {:.2} tokens of one of the embedded tokenizer's, and \
                 its own counts are used",
                (theirs[1] - theirs[0]) as f64 / (texts[1] - texts[0]).max(1) as f64
            ),
        ),
    };
    Some(finding.at(&visit.url))
}

/// Whole prompts are known.
fn exactly(ours: Lengths, theirs: Lengths, facts: &Facts) -> Finding {
    let more = [theirs[0] - ours[0], theirs[1] - ours[1]];
    if more == [0, 0] {
        let seen = format!("prompts of {} and {} tokens, as we count", ours[0], ours[1]);
        return Finding::pass(Check::Tokenizer, seen);
    }
    if more[0] != more[1] {
        return another(ours, theirs);
    }
    let (count, what) = (more[0].abs(), if more[0] > 0 { "more" } else { "fewer" });
    let tokens = plural(count, "token");
    Finding::fail(
        Check::Tokenizer,
        format!("the server's prompts have {count} {what} {tokens} than ours, whatever their length"),
        "not the tokenizer but what is put around prompts: another chat template, or special tokens such \
         as the one that begins a text",
        format!("{OWN}; where the server was started with --chat-template, put that file there"),
    )
    // Without KV events only lengths are concerned, and by little.
    .warn_if(!facts.events)
}

/// The template is not known; texts alone are.
fn by_growth(ours: Lengths, theirs: Lengths) -> Finding {
    let added = theirs[0] - ours[0];
    if theirs[1] - theirs[0] == ours[1] - ours[0] {
        let seen =
            format!("texts have as many tokens as we count, and {added} are put around them");
        return Finding::pass(Check::Tokenizer, seen);
    }
    another(ours, theirs)
}

fn another(ours: Lengths, theirs: Lengths) -> Finding {
    Finding::fail(
        Check::Tokenizer,
        format!(
            "of texts with {} and {} tokens the server makes {} and {}",
            ours[0], ours[1], theirs[0], theirs[1]
        ),
        "--tokenizer is not that of the server's model",
        OWN,
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Status;
    use super::*;

    fn facts(events: bool) -> Facts {
        Facts { events, ..Facts::default() }
    }

    #[test]
    fn what_is_added_to_every_prompt_is_no_other_tokenizer() {
        let found = exactly([100, 400], [108, 408], &facts(true));
        assert_eq!(found.status, Status::Fail);
        assert!(found.seen.contains("8 more tokens"), "{found:?}");
        assert!(found.cause.unwrap().contains("chat template"));
        let found = exactly([100, 400], [99, 399], &facts(false));
        assert_eq!(found.status, Status::Warn);
        assert!(found.seen.contains("1 fewer token than"), "{found:?}");
        assert_eq!(by_growth([90, 390], [100, 400]).status, Status::Pass);
    }

    #[test]
    fn what_goes_with_the_length_is_another_tokenizer() {
        for found in
            [exactly([100, 400], [130, 520], &facts(true)), by_growth([100, 400], [130, 520])]
        {
            assert_eq!(found.status, Status::Fail);
            assert!(found.cause.unwrap().contains("--tokenizer is not"), "{}", found.seen);
        }
    }
}
