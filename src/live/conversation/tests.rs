use super::*;
use crate::scenario::Draft;
use crate::units::Nanos;
use crate::workload::build;
use proptest::prelude::*;

fn segment(content: u64, tokens: u32) -> Segment {
    Segment { content, tokens }
}

/// Request `id` of session 1, of segments named by their contents, ten tokens each.
fn request(id: RequestId, prompt: &[u64], output: &[u64]) -> Request {
    let segments = prompt.iter().chain(output).map(|content| segment(*content, 10)).collect();
    Request {
        id,
        session: 1,
        turn: id as u32,
        arrival: Nanos::ZERO,
        segments,
        prompt_tokens: 10 * prompt.len() as u32,
        output_tokens: 10 * output.len() as u32,
    }
}

/// Roles and texts: a segment by its content, an answer by what was said.
fn shown(prompt: &Prompt) -> Vec<String> {
    let part = |part: &Part| match part {
        Part::Text(segment) => segment.content.to_string(),
        Part::Answer(text) => text.to_string(),
    };
    let message = |message: &Message| {
        let parts: Vec<String> = message.parts.iter().map(part).collect();
        format!("{}: {}", message.role.name(), parts.join(" "))
    };
    prompt.messages.iter().map(message).collect()
}

#[test]
fn a_later_turn_contains_what_the_server_really_said() {
    let mut said = Conversations::new(true);
    let first = said.prompt(&request(0, &[1, 2], &[3]));
    assert_eq!(shown(&first), ["system: 1", "user: 2"]);
    said.answered(1, 0, "Well, \"no\".", 4);
    let second = said.prompt(&request(1, &[1, 2, 3, 4], &[5]));
    assert_eq!(shown(&second), ["system: 1", "user: 2", "assistant: Well, \\\"no\\\".", "user: 4"]);
    let expected = [segment(1, 10), segment(2, 10), answer_segment(0, 4), segment(4, 10)];
    assert_eq!((second.tokens, &second.segments[..]), (34, &expected[..]));
    said.answered(1, 1, "Yes", 1);
    let third = said.prompt(&request(2, &[1, 2, 3, 4, 5, 6], &[7]));
    assert_eq!(&third.segments[..4], expected);
    assert_eq!(shown(&third)[4..], ["assistant: Yes", "user: 6"]);
}

#[test]
fn a_failed_or_empty_answer_is_replaced_by_text_of_the_planned_length() {
    let mut said = Conversations::new(false);
    said.prompt(&request(0, &[1], &[2]));
    said.answered(1, 0, "", 0);
    let second = said.prompt(&request(1, &[1, 2, 3], &[4]));
    assert_eq!(shown(&second), ["user: 1", "assistant: 2", "user: 3"]);
    assert_eq!((second.tokens, second.segments[1]), (30, segment(2, 10)));
}

#[test]
fn an_output_of_several_segments_is_one_answer() {
    let mut said = Conversations::new(false);
    said.prompt(&request(0, &[1], &[2, 3]));
    said.answered(1, 0, "ok", 1);
    let second = said.prompt(&request(1, &[1, 2, 3, 2], &[9]));
    assert_eq!(shown(&second), ["user: 1", "assistant: ok", "user: 2"]);
}

#[test]
fn equal_outputs_are_told_apart_by_what_was_said_before() {
    let mut said = Conversations::new(false);
    said.prompt(&request(0, &[1], &[2]));
    said.answered(1, 0, "first", 1);
    said.prompt(&request(1, &[1, 2, 3], &[2]));
    said.answered(1, 1, "second", 1);
    let third = said.prompt(&request(2, &[1, 2, 3, 2, 4], &[5]));
    assert_eq!(
        shown(&third),
        ["user: 1", "assistant: first", "user: 3", "assistant: second", "user: 4"]
    );
}

#[test]
fn what_sub_agents_said_is_told_to_their_parent_by_the_user() {
    let mut said = Conversations::new(true);
    said.prompt(&request(0, &[1, 2], &[3]));
    said.answered(1, 0, "delegate", 1);
    assert_eq!(shown(&said.prompt(&request(1, &[1, 2, 10], &[11]))), ["system: 1", "user: 2 10"]);
    said.prompt(&request(2, &[1, 2, 20], &[21]));
    said.answered(1, 2, "two", 1);
    said.answered(1, 1, "one", 1);
    let parent = said.prompt(&request(3, &[1, 2, 3, 11, 21], &[4]));
    assert_eq!(shown(&parent), ["system: 1", "user: 2", "assistant: delegate", "user: one two"]);
}

#[test]
fn a_prompt_that_ends_with_an_answer_ends_in_a_user_message_all_the_same() {
    let mut said = Conversations::new(false);
    said.prompt(&request(0, &[1], &[2]));
    said.answered(1, 0, "more?", 1);
    assert_eq!(shown(&said.prompt(&request(1, &[1, 2], &[3]))), ["user: 1 more?"]);
    let mut lone = Conversations::new(true);
    assert_eq!(shown(&lone.prompt(&request(0, &[1], &[2]))), ["user: 1"]);
}

#[test]
fn sessions_do_not_hear_each_other_and_are_forgotten() {
    let mut said = Conversations::new(false);
    said.prompt(&request(0, &[1], &[2]));
    said.answered(1, 0, "private", 1);
    let other = Request { session: 2, ..request(1, &[1, 2, 3], &[4]) };
    assert_eq!(shown(&said.prompt(&other)), ["user: 1 2 3"]);
    said.forget(1);
    said.forget(2);
    assert_eq!(said.sessions(), 0);
    said.answered(1, 0, "late", 1);
    assert_eq!(said.sessions(), 0);
}

#[test]
fn system_prompts_are_what_sessions_of_the_workload_share() {
    let has = |name: &str, overrides: &[&str]| {
        let mut draft = Draft::load(name).unwrap();
        overrides.iter().for_each(|assignment| draft.set_text(assignment).unwrap());
        has_system_prompt(&draft.finish().unwrap().workload)
    };
    assert!(has("shared-prefix", &[]) && has("agentic", &[]));
    assert!(has("multi-turn", &["workload.multi_turn.prefixes=3"]));
    assert!(!has("multi-turn", &["workload.multi_turn.prefixes=0"]));
    assert!(!has("diverse", &[]) && !has("similar", &[]));
}

/// Takes every request of a workload, answers each, and forgets sessions that are over.
fn replay(
    workload: &str,
    requests: u64,
    mut check: impl FnMut(&Request, &Prompt),
) -> Conversations {
    let mut draft = Draft::load(workload).unwrap();
    draft.set_text(&format!("workload.requests={requests}")).unwrap();
    let scenario = draft.finish().unwrap();
    let mut source = build(&scenario.workload, 7, None).unwrap();
    let mut said = Conversations::new(has_system_prompt(&scenario.workload));
    while let Some(at) = source.next_arrival().unwrap() {
        let request = source.take().unwrap();
        let prompt = said.prompt(&request);
        check(&request, &prompt);
        if source.on_complete(request.id, at + Nanos(1)) {
            said.forget(request.session);
        } else {
            said.answered(request.session, request.id, "so it is", request.output_tokens);
        }
    }
    said
}

#[test]
fn every_generated_prompt_ends_with_the_user_and_has_its_planned_length() {
    for workload in ["multi-turn", "agentic", "shared-prefix", "diverse", "similar"] {
        let said = replay(workload, 300, |request, prompt| {
            assert_eq!(prompt.messages.last().unwrap().role, Role::User, "{workload}");
            // Answers have exactly the planned length here, so all lengths are as planned.
            assert_eq!(prompt.tokens, request.prompt_tokens, "{workload}");
            let alternate = prompt.messages.windows(2).all(|pair| pair[0].role != pair[1].role);
            assert!(alternate, "{workload}: {:?}", shown(prompt));
        });
        assert_eq!(said.sessions(), 0, "{workload}: all sessions are over");
    }
}

#[test]
fn generated_conversations_contain_an_answer_for_every_earlier_turn() {
    replay("multi-turn", 200, |request, prompt| {
        let answers = prompt.messages.iter().filter(|one| one.role == Role::Assistant).count();
        assert_eq!(answers, request.turn as usize);
        let real = |part: &Part| matches!(part, Part::Answer(_));
        let said = prompt.messages.iter().flat_map(|one| &one.parts).filter(|part| real(part));
        assert_eq!(said.count(), answers);
    });
}

proptest! {
    #[test]
    fn nothing_of_a_prompt_is_lost(
        turns in prop::collection::vec((1usize..4, 1usize..3, any::<bool>()), 1..6),
    ) {
        let mut said = Conversations::new(false);
        let (mut context, mut next) = (Vec::new(), 0u64);
        let fresh = |next: &mut u64, count: usize| -> Vec<u64> {
            (0..count).map(|_| { *next += 1; *next }).collect()
        };
        for (id, (new, output, answered)) in (0..).zip(turns) {
            context.extend(fresh(&mut next, new));
            let output = fresh(&mut next, output);
            let request = request(id, &context, &output);
            let prompt = said.prompt(&request);
            prop_assert_eq!(prompt.tokens, request.prompt_tokens);
            let parts: u32 = prompt.messages.iter().flat_map(|one| &one.parts).map(|part| match part {
                Part::Text(segment) => segment.tokens,
                Part::Answer(text) => text.parse::<u32>().unwrap(),
            }).sum();
            prop_assert_eq!(parts, prompt.tokens);
            if answered {
                let tokens = request.output_tokens;
                said.answered(1, id, &tokens.to_string(), tokens);
            }
            context.extend(output);
        }
    }
}
