use super::*;

fn decision(request: u64, cost: f64) -> DecisionRecord {
    let candidate = |worker, believed, held, prefill, decode| Candidate {
        worker,
        believed_overlap_blocks: believed,
        true_overlap_blocks: Some(held),
        terms: vec![("prefill".into(), prefill), ("decode".into(), decode)],
        load: 0.0,
        score: prefill + decode,
    };
    DecisionRecord {
        router: "kv".into(),
        seed: 42,
        request,
        time_ms: 1500.25 + request as f64,
        prompt_tokens: 1600,
        prompt_blocks: 100,
        chosen: 2,
        reason: "lowest cost".into(),
        tie: 1,
        lower_is_better: true,
        cost: Some(cost),
        candidates: vec![
            candidate(1, Some(80), 80, 20.0, 1100.5),
            candidate(2, Some(40), 30, 60.0, 12.0),
        ],
        live: None,
    }
}

fn asked(decisions: &[DecisionRecord], query: &Query) -> Result<String> {
    let place = tempfile::tempdir().unwrap();
    let lines = decisions.iter().map(|decision| serde_json::to_string(decision).unwrap() + "\n");
    std::fs::write(place.path().join("decisions.jsonl"), lines.collect::<String>()).unwrap();
    let mut out = Vec::new();
    explain(&mut out, place.path(), query)?;
    let text = String::from_utf8(out).unwrap();
    Ok(text.replace(place.path().to_str().unwrap(), "RUN"))
}

fn of(request: u64) -> Query {
    Query { request: Some(request), ..Query::default() }
}

#[test]
fn a_decision_is_told_in_a_table_and_in_words() {
    let expected = "\
request 7 under kv (seed 42) at 1.507 s: 1,600 prompt tokens, 100 full blocks
            believed  held  prefill    decode      cost
  worker-1        80    80    20.00  1,100.50  1,120.50
  worker-2        40    30    60.00     12.00     72.00  <- chosen
worker-2 was chosen: lowest cost.
The router believed that worker-2 held 40 blocks, but it held 30: the rest was evicted or never there.
worker-1 held 50 more blocks of this prompt: they are computed again.
";
    let decisions = [decision(6, 0.0), decision(7, 50.0)];
    assert_eq!(asked(&decisions, &of(7)).unwrap(), expected);
}

#[test]
fn ties_and_routers_without_an_index_are_explained() {
    let mut tied = decision(0, 0.0);
    tied.tie = 2;
    for candidate in &mut tied.candidates {
        candidate.believed_overlap_blocks = None;
        candidate.true_overlap_blocks = Some(3);
        candidate.score = f64::INFINITY;
    }
    let text = render(&tied);
    assert!(text.contains("2 workers were equally good"), "{text}");
    assert!(text.contains("No worker held more"), "{text}");
    assert!(text.contains("ruled out"), "{text}");
    assert!(!text.contains("believed that"), "{text}");
}

#[test]
fn policies_without_scores_show_none() {
    let mut turn = decision(0, 50.0);
    turn.reason = "next in turn".into();
    for candidate in &mut turn.candidates {
        candidate.terms.clear();
        candidate.score = 0.0;
    }
    let text = render(&turn);
    assert!(!text.contains("cost") && !text.contains("0.00"), "{text}");
    assert!(text.contains("chosen: next in turn."), "{text}");
}

#[test]
fn without_a_request_the_costliest_are_listed() {
    let decisions: Vec<DecisionRecord> = (0..30).map(|i| decision(i, (i % 15) as f64)).collect();
    let text = asked(&decisions, &Query::default()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 12, "{text}");
    assert_eq!(
        lines[1],
        "  request 14       kv seed 42 at 1.514 s: worker-2, 14 of 100 blocks passed by (lowest cost)"
    );
    assert!(lines[2].contains("request 29 "), "{text}");
    assert_eq!(lines[11], "For one of them: kvroute explain RUN --request 14");
    let perfect = asked(&[decision(3, 0.0)], &Query::default()).unwrap();
    assert!(perfect.starts_with("All 1 decisions took"), "{perfect}");
}

#[test]
fn large_clusters_show_the_best_workers_and_the_chosen_one() {
    let mut large = decision(0, 0.0);
    large.candidates = (1..=1000)
        .map(|worker| Candidate { worker, score: f64::from(worker), ..large.candidates[1].clone() })
        .collect();
    large.chosen = 900;
    let text = render(&large);
    assert!(text.contains("worker-900"), "{text}");
    assert!(text.contains("(984 more workers"), "{text}");
}

#[test]
fn questions_without_an_answer_say_what_is_known() {
    let decisions = [decision(3, 0.0), decision(9, 0.0)];
    let message = |query: &Query| asked(&decisions, query).unwrap_err().to_string();
    assert_eq!(message(&of(4711)), "request 4711 is not in this run; its requests are 3 to 9");
    let router = Query { router: Some("kw".into()), ..Query::default() };
    assert!(message(&router).starts_with("router \"kw\" is not in this run; it has kv"));
    let seed = Query { seed: Some(1), ..Query::default() };
    assert!(message(&seed).contains("seeds 42 to 42"));
    let nowhere = explain(&mut Vec::new(), Path::new("/nowhere"), &of(1)).unwrap_err();
    assert!(nowhere.to_string().contains("--decisions"), "{nowhere}");
}

/// A decision of a live run: nobody knows what the workers held.
fn live(request: u64, predicted: Option<u32>, observed: Option<u32>) -> DecisionRecord {
    let mut decision = decision(request, 0.0);
    decision.cost = None;
    decision.candidates.iter_mut().for_each(|candidate| candidate.true_overlap_blocks = None);
    let hits = LiveHits { predicted_hit_tokens: predicted, observed_hit_tokens: observed };
    DecisionRecord { live: Some(hits), ..decision }
}

#[test]
fn a_live_decision_tells_what_was_predicted_and_what_was_found() {
    let expected = "\
request 7 under kv (seed 42) at 1.507 s: 1,600 prompt tokens, 100 full blocks
            believed  prefill    decode      cost
  worker-1        80    20.00  1,100.50  1,120.50
  worker-2        40    60.00     12.00     72.00  <- chosen
worker-2 was chosen: lowest cost.
The router believed 640 tokens cached on worker-2, and it found 480: the rest was evicted or never there.
";
    let decisions = [live(6, Some(64), Some(64)), live(7, Some(640), Some(480))];
    assert_eq!(asked(&decisions, &of(7)).unwrap(), expected);
    for (predicted, observed, words) in [
        (Some(64), Some(64), "was right about worker-2: it found 64"),
        (Some(64), None, "did not tell its hits"),
        (Some(0), Some(64), "news of the rest had not arrived"),
        (None, Some(64), "keeps no index; worker-2 found 64"),
        (None, None, "keeps no index, and the server did not tell"),
    ] {
        let text = render(&live(0, predicted, observed));
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn the_costliest_of_a_live_run_are_those_in_which_the_router_was_most_wrong() {
    let decisions =
        [live(1, Some(64), Some(64)), live(2, Some(0), Some(96)), live(3, Some(640), Some(480))];
    let text = asked(&decisions, &Query::default()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("most wrong about hits"), "{text}");
    assert!(lines[1].contains("request 3 ") && lines[1].contains("640 hit tokens predicted, 480"));
    assert!(lines[2].contains("request 2 ") && lines.len() == 4, "{text}");
    let right = asked(&decisions[..1], &Query::default()).unwrap();
    assert!(right.starts_with("In all 1 decisions the server found"), "{right}");
}
