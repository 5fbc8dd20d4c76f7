use super::*;

#[test]
fn every_bundled_workload_is_valid_and_survives_being_written_and_read() {
    for (name, _) in BUNDLED {
        let scenario = Draft::load(name).unwrap().finish().unwrap();
        let again = Draft::parse(&scenario.to_toml(), "resolved").unwrap().finish().unwrap();
        assert_eq!(scenario, again, "{name}");
    }
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_name() {
    let mut draft = Draft::load("diverse").unwrap();
    draft.set_text("cluster.blok_tokens=16").unwrap();
    let why = draft.finish().unwrap_err().to_string();
    assert!(why.contains("blok_tokens") && why.contains("did you mean \"block_tokens\"?"), "{why}");
}

#[test]
fn overrides_take_toml_values_or_plain_words() {
    let mut draft = Draft::load("diverse").unwrap();
    for assignment in [
        "cluster.workers=8",
        "cluster.eviction=lfu",
        "router.mode=kv,random",
        "router.event_delay=5ms",
    ] {
        draft.set_text(assignment).unwrap();
    }
    let scenario = draft.finish().unwrap();
    assert_eq!(scenario.cluster.workers, 8);
    assert_eq!(scenario.cluster.eviction, EvictionKind::Lfu);
    assert_eq!(scenario.router.mode, ["kv", "random"]);
    assert_eq!(scenario.router.event_delay.as_ms_f64(), 5.0);
}

const DIVERSE: &str = "[workload]\nkind = \"diverse\"\nrequests = 10\n[workload.diverse]\n\
    prompt = { law = \"constant\", value = 9 }\noutput = { law = \"constant\", value = 9 }\n";

fn with_arrival(arrival: &str) -> Result<Scenario> {
    let mut draft = Draft::parse(DIVERSE, "test").unwrap();
    draft.set_text(&format!("workload.arrival={{ {arrival} }}")).unwrap();
    draft.finish()
}

#[test]
fn every_arrival_process_survives_being_written_and_read() {
    for arrival in [
        "process = 'constant', rate = 1",
        "process = 'on-off', rate = 1, on = '1s', off = '2s'",
        "process = 'on-off', rate = 1, on = '1s', off = '2s', spacing = 'constant'",
        "process = 'ramp', from_rate = 0, to_rate = 1, over = '9s'",
        "process = 'ramp', from_rate = 0, to_rate = 1, over = '9s', spacing = 'poisson'",
        "process = 'ramp', from_rate = 0, to_rate = 1, over = '9s', spacing = 'gamma', burstiness = 2",
        "process = 'burst', size = 3, every = '1s'",
        "process = 'closed', concurrency = 3",
        "process = 'closed', concurrency = 3, ramp_up = '3s'",
        "process = 'sessions', sessions = 3, ramp_up = '0'",
    ] {
        let scenario = with_arrival(arrival).unwrap();
        let again = Draft::parse(&scenario.to_toml(), "resolved").unwrap().finish().unwrap();
        assert_eq!(scenario, again, "{arrival}");
    }
    let text = with_arrival("process = 'closed', concurrency = 3").unwrap().to_toml();
    assert!(!text.contains("ramp_up"), "defaults that came later are not written: {text}");
}

#[test]
fn arrivals_that_make_no_sense_are_refused() {
    for (arrival, word) in [
        (
            "process = 'ramp', from_rate = 0, to_rate = 1, over = '9s', spacing = 'gamma'",
            "burstiness",
        ),
        ("process = 'ramp', from_rate = 0, to_rate = 1, over = '9s', burstiness = 1", "spacing"),
        ("process = 'ramp', from_rate = 0, to_rate = 1, over = '0'", "over"),
        ("process = 'burst', size = 0, every = '1s'", "size = 0"),
        ("process = 'burst', size = 1, every = '0'", "every"),
        ("process = 'sessions', sessions = 0", "sessions = 0"),
    ] {
        let why = with_arrival(arrival).unwrap_err().to_string();
        assert!(why.contains(word), "{arrival}: {why}");
    }
}

#[test]
fn a_key_that_is_taken_back_is_as_if_it_had_never_been_set() {
    let mut draft = Draft::parse(DIVERSE, "test").unwrap();
    for absent in ["workload.duration", "router.kv.ttl", "seed", "workload.kind.of"] {
        draft.unset(absent);
    }
    assert_eq!(draft.to_toml().unwrap(), Draft::parse(DIVERSE, "test").unwrap().to_toml().unwrap());
    draft.unset("workload.requests");
    assert!(draft.get("workload.requests").is_none());
    draft.set_text("workload.arrival={ process = 'poisson', rate = 1 }").unwrap();
    let why = draft.finish().unwrap_err().to_string();
    assert!(why.contains("--num-requests") && why.contains("--duration"), "{why}");
    draft.set_text("workload.duration=9s").unwrap();
    draft.finish().unwrap();
}
