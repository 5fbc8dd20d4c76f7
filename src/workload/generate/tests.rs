use super::*;
use crate::prompt::{block_runs, total_tokens};
use std::collections::BTreeSet;

const SHARED_PREFIX: &str = r#"
kind = "shared-prefix"
[shared_prefix]
prefixes = 10
zipf = 1.0
prefix = { law = "uniform", low = 500, high = 900 }
question = { law = "exponential", mean = 100 }
output = { law = "exponential", mean = 50 }
"#;

const MULTI_TURN: &str = r#"
kind = "multi-turn"
[multi_turn]
prefixes = 3
zipf = 0.5
prefix = { law = "constant", value = 300 }
turns = { law = "uniform", low = 2, high = 6 }
first = { law = "exponential", mean = 100 }
follow_up = { law = "exponential", mean = 40 }
output = { law = "exponential", mean = 50 }
think_time = { law = "exponential", mean = 5 }
"#;

const SIMILAR: &str = r#"
kind = "similar"
[similar]
families = 4
zipf = 0.0
prompt = { law = "uniform", low = 1000, high = 2000 }
differs_at = 0.5
difference = { law = "constant", value = 20 }
output = { law = "constant", value = 50 }
"#;

const DIVERSE: &str = r#"
kind = "diverse"
[diverse]
prompt = { law = "exponential", mean = 800 }
output = { law = "exponential", mean = 50 }
"#;

const AGENTIC: &str = r#"
kind = "agentic"
[agentic]
agents = 3
zipf = 1.0
prefix = { law = "constant", value = 2000 }
task = { law = "exponential", mean = 100 }
steps = { law = "uniform", low = 1, high = 8 }
tool_result = { law = "exponential", mean = 200 }
output = { law = "exponential", mean = 50 }
tool_time = { law = "exponential", mean = 2 }
sub_agent_probability = 0.3
sub_agents = { law = "uniform", low = 1, high = 4 }
sub_task = { law = "constant", value = 60 }
sub_agent_steps = { law = "uniform", low = 1, high = 3 }
"#;

const ALL: [&str; 5] = [SHARED_PREFIX, MULTI_TURN, SIMILAR, DIVERSE, AGENTIC];

fn spec(text: &str) -> WorkloadSpec {
    toml::from_str(text).unwrap()
}

fn made(text: &str, seed: u64) -> Box<dyn Generator> {
    generator(&spec(text), seed).unwrap()
}

/// A mix of all kinds, diverse three times as often as each of the others.
fn mixed() -> WorkloadSpec {
    let mut whole = spec("kind = \"mix\"");
    for text in ALL {
        let part = spec(text);
        whole.mix.push(MixPart {
            weight: if text == DIVERSE { 3.0 } else { 1.0 },
            kind: part.kind,
            shared_prefix: part.shared_prefix,
            multi_turn: part.multi_turn,
            similar: part.similar,
            diverse: part.diverse,
            agentic: part.agentic,
        });
    }
    whole
}

/// Leading tokens that two prompts share.
fn shared(a: &[Segment], b: &[Segment]) -> u64 {
    let blocks = |segments: &[Segment]| -> Vec<(u64, u32)> {
        let runs = block_runs(segments, 1);
        let each = runs.iter();
        each.flat_map(|run| (run.first..run.end()).map(|at| (run.content, at))).collect()
    };
    let (a, b) = (blocks(a), blocks(b));
    a.iter().zip(&b).take_while(|(x, y)| x == y).count() as u64
}

/// Prompt and output, as the next turn sees them.
fn whole(turn: &Turn) -> Vec<Segment> {
    [&turn.prompt[..], &turn.output[..]].concat()
}

fn contents(turns: &[Turn]) -> BTreeSet<u64> {
    let segments = turns.iter().flat_map(whole);
    segments.map(|segment| segment.content).collect()
}

#[test]
fn a_session_is_the_same_whatever_was_made_before_it() {
    for workload in ALL.map(spec).into_iter().chain([mixed()]) {
        let mut stream = sessions(&workload, 42).unwrap();
        let in_order: Vec<Session> =
            (0..50).map(|_| stream.next_session().unwrap().unwrap()).collect();
        let generator = generator(&workload, 42).unwrap();
        for session in in_order.iter().rev() {
            assert_eq!(session.turns, generator.turns(session.id));
            assert!(!session.turns.is_empty());
            assert_eq!(session.turns[0].when, When::Offset(Nanos::ZERO));
        }
    }
}

#[test]
fn turns_wait_only_for_earlier_ones() {
    for workload in ALL.map(spec) {
        let generator = generator(&workload, 42).unwrap();
        for turns in (0..200).map(|n| generator.turns(n)) {
            for (place, turn) in (0u32..).zip(&turns) {
                if let When::After(earlier, _) = &turn.when {
                    assert!(!earlier.is_empty() && earlier.iter().all(|other| *other < place));
                }
            }
        }
    }
}

#[test]
fn nothing_is_shared_between_seeds() {
    for text in ALL {
        let all = |seed| -> BTreeSet<u64> {
            let generator = made(text, seed);
            (0..50).flat_map(|n| contents(&generator.turns(n))).collect()
        };
        assert!(all(1).is_disjoint(&all(2)), "{text}");
    }
}

#[test]
fn shared_prefixes_are_shared_whole_and_follow_zipf() {
    let generator = made(SHARED_PREFIX, 42);
    let prompts: Vec<Vec<Segment>> =
        (0..4000).map(|n| generator.turns(n).remove(0).prompt).collect();
    let texts = Texts::new(42, 0);
    let prefix = &spec(SHARED_PREFIX).shared_prefix.unwrap().prefix;
    let harmonic: f64 = (1..=10).map(|rank| 1.0 / f64::from(rank)).sum();
    for which in 0..10 {
        let text = texts.shared(which, prefix);
        let users: Vec<_> = prompts.iter().filter(|prompt| prompt[0] == text).collect();
        let want = 4000.0 / harmonic / (which as f64 + 1.0);
        let count = users.len() as f64;
        assert!((count - want).abs() < 4.0 * want.sqrt(), "{which}: {count}, {want}");
        assert_eq!(shared(users[0], users[1]), u64::from(text.tokens));
    }
    assert!(prompts.iter().all(|prompt| prompt.len() == 2));
}

#[test]
fn a_prompt_contains_all_earlier_turns_of_its_conversation() {
    let generator = made(MULTI_TURN, 42);
    for turns in (0..50).map(|n| generator.turns(n)) {
        assert!((2..=6).contains(&turns.len()));
        assert_eq!(turns[0].prompt[0].tokens, 300);
        for (place, pair) in (0u32..).zip(turns.windows(2)) {
            let before = whole(&pair[0]);
            assert_eq!(shared(&before, &pair[1].prompt), total_tokens(&before));
            assert!(total_tokens(&pair[1].prompt) > total_tokens(&before));
            assert!(matches!(&pair[1].when, When::After(on, _) if on[..] == [place]));
        }
    }
    let mut alone = spec(MULTI_TURN);
    alone.multi_turn.as_mut().unwrap().prefixes = 0;
    let alone = super::generator(&alone, 42).unwrap();
    assert!(contents(&alone.turns(0)).is_disjoint(&contents(&alone.turns(1))));
}

#[test]
fn members_of_a_family_share_exactly_what_lies_before_the_difference() {
    for (at, difference) in [(0.0, 20), (0.5, 20), (1.0, 20), (0.9, 5000)] {
        let mut workload = spec(SIMILAR);
        let settings = workload.similar.as_mut().unwrap();
        settings.differs_at = at;
        settings.difference = Law::Constant { value: f64::from(difference) };
        let law = settings.prompt.clone();
        let generator = generator(&workload, 42).unwrap();
        let texts = Texts::new(42, 0);
        let mut families: [Vec<Vec<Segment>>; 4] = Default::default();
        for number in 0..100 {
            let which = texts.popular(number, 4, 0.0) as usize;
            families[which].push(generator.turns(number).remove(0).prompt);
        }
        for (which, members) in families.iter().enumerate() {
            let length = texts.shared(which as u64, &law).tokens;
            let lead = (at * f64::from(length)).round() as u64;
            let want = u64::from(length).max(lead + u64::from(difference as u32));
            for pair in members.windows(2) {
                assert_eq!(shared(&pair[0], &pair[1]), lead);
                assert_eq!(total_tokens(&pair[0]), want);
                // The tail is the same text again, where there is one.
                assert_eq!(lead + difference as u64 >= u64::from(length), {
                    pair[0].last() != pair[1].last()
                });
            }
        }
    }
}

#[test]
fn diverse_requests_have_nothing_in_common() {
    let generator = made(DIVERSE, 42);
    let mut seen = BTreeSet::new();
    for turns in (0..500).map(|n| generator.turns(n)) {
        assert_eq!(turns.len(), 1);
        assert!(contents(&turns).into_iter().all(|text| seen.insert(text)));
    }
}

#[test]
fn sub_agents_branch_off_after_the_task_and_their_parent_waits_for_all_of_them() {
    let generator = made(AGENTIC, 42);
    let (mut loops, mut branches) = (0, 0);
    for turns in (0..300).map(|n| generator.turns(n)) {
        let branch = &turns[0].prompt;
        assert_eq!((branch.len(), branch[0].tokens), (2, 2000));
        for turn in &turns[1..] {
            assert!(shared(branch, &turn.prompt) == total_tokens(branch));
            let When::After(on, pause) = &turn.when else {
                panic!("only the first step waits for nothing");
            };
            let before = &turns[on[0] as usize];
            if turn.prompt.len() == 3 {
                // A sub-agent begins at once, with its own task in place of the parent's output.
                assert_eq!((on.len(), *pause, turn.prompt[2].tokens), (1, Nanos::ZERO, 60));
                branches += 1;
            } else if on.len() == 1
                && shared(&whole(before), &turn.prompt) == total_tokens(&whole(before))
            {
                loops += 1;
            } else {
                // The parent goes on: the answers end its prompt.
                let answers = on.iter().map(|place| turns[*place as usize].output[0]);
                assert!(turn.prompt.ends_with(&answers.collect::<Vec<_>>()));
            }
        }
        // Every step but the parent's last is waited for.
        let waited: BTreeSet<u32> = turns
            .iter()
            .filter_map(|turn| match &turn.when {
                When::After(on, _) => Some(on.clone()),
                When::Offset(_) => None,
            })
            .flatten()
            .collect();
        assert_eq!(waited.len(), turns.len() - 1);
    }
    assert!(loops > 500 && branches > 500, "{loops} loops, {branches} branches");
}

#[test]
fn a_mix_keeps_its_weights_and_its_parts_share_nothing() {
    let whole = mixed();
    let mix = mix::Mix::new(&whole.mix, exact::Lengths::default(), 42).unwrap();
    let mut counts = [0.0; 5];
    let mut texts: [BTreeSet<u64>; 5] = Default::default();
    for number in 0..7000 {
        let part = mix.part_of(number);
        counts[part] += 1.0;
        if number < 300 {
            texts[part].extend(contents(&mix.turns(number)));
        }
    }
    for (part, count) in counts.iter().enumerate() {
        let want: f64 = if part == 3 { 3000.0 } else { 1000.0 };
        assert!((count - want).abs() < 4.0 * want.sqrt(), "part {part}: {count}");
        let others = texts.iter().enumerate().filter(|(other, _)| *other != part);
        assert!(others.into_iter().all(|(_, other)| texts[part].is_disjoint(other)));
    }
}

#[test]
fn any_popularity_the_check_admits_can_be_drawn() {
    let texts = Texts::new(42, 0);
    for exponent in [0.0, 0.5, 1.0, 1.1, 20.0, 100.0] {
        for count in [1, 2, 1000, 1_000_000_000] {
            assert!((0..100).all(|n| texts.popular(n, count, exponent) < u64::from(count)));
        }
    }
}

#[test]
fn bundled_workloads_are_of_the_promised_size_and_spell_out_the_defaults() {
    use crate::scenario::{BUNDLED, ClusterSpec, Draft, OutputSpec, RouterSpec};
    for (name, _) in BUNDLED {
        let scenario = Draft::load(name).unwrap().finish().unwrap();
        assert_eq!(scenario.cluster, ClusterSpec::default(), "{name}");
        assert_eq!(scenario.router, RouterSpec::default(), "{name}");
        assert_eq!(scenario.output, OutputSpec::default(), "{name}");
        let mut stream = sessions(&scenario.workload, scenario.seed).unwrap();
        let (mut requests, mut output) = (0, 0);
        while requests < scenario.workload.requests.unwrap() {
            for turn in stream.next_session().unwrap().unwrap().turns {
                requests += 1;
                output += total_tokens(&turn.output);
            }
        }
        assert!((2000..4000).contains(&requests), "{name}: {requests}");
        assert!((300_000..600_000).contains(&output), "{name}: {output}");
    }
}

/// Every kind and a mix of all, with prompts of `prompt` and outputs of `output` tokens.
fn all_exactly(prompt: u32, output: u32) -> Vec<Box<dyn Generator>> {
    let workloads = ALL.map(spec).into_iter().chain([mixed()]);
    let exactly = workloads.map(|mut workload| {
        workload.prompt_tokens = Some(prompt);
        workload.output_tokens = Some(output);
        generator(&workload, 42).unwrap()
    });
    exactly.collect()
}

#[test]
fn lengths_asked_for_are_given_exactly() {
    for prompt in [1, 2, 128, 700, 5_000] {
        for generator in all_exactly(prompt, 10) {
            for turns in (0..50).map(|n| generator.turns(n)) {
                assert_eq!(total_tokens(&turns[0].prompt), u64::from(prompt));
                for turn in &turns {
                    assert_eq!(total_tokens(&turn.output), 10);
                    assert!(turn.prompt.iter().all(|segment| segment.tokens > 0));
                    assert_eq!(shared(&turns[0].prompt, &turn.prompt), u64::from(prompt));
                }
            }
        }
    }
}

#[test]
fn later_turns_hold_all_that_was_said_before_whatever_the_length_asked_for() {
    let mut workload = spec(MULTI_TURN);
    workload.prompt_tokens = Some(50);
    let generator = generator(&workload, 42).unwrap();
    for turns in (0..50).map(|n| generator.turns(n)) {
        for pair in turns.windows(2) {
            let said = whole(&pair[0]);
            assert_eq!(shared(&said, &pair[1].prompt), total_tokens(&said));
            assert!(total_tokens(&pair[1].prompt) > total_tokens(&said));
        }
    }
}

#[test]
fn what_is_shared_stays_as_long_as_it_is_where_the_length_asked_for_allows() {
    let exactly = |tokens: u32| {
        let mut workload = spec(SHARED_PREFIX);
        workload.prompt_tokens = Some(tokens);
        generator(&workload, 42).unwrap()
    };
    let free = made(SHARED_PREFIX, 42);
    let (long, short) = (exactly(2_000), exactly(100));
    for n in 0..50 {
        let (free, long, short) = (free.turns(n), long.turns(n), short.turns(n));
        assert_eq!(long[0].prompt[0], free[0].prompt[0]);
        assert_eq!(short[0].prompt[0], Segment { tokens: 99, ..free[0].prompt[0] });
        assert_eq!(short[0].prompt[1].tokens, 1);
    }
}
