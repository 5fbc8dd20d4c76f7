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
