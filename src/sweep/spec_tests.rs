use super::*;

const FILE: &str = r#"
workload = "multi-turn"
seeds = 3
[set]
workload.requests = 100
seed = 7
[grid]
"router.kv.overlap_weight" = [0, 0.5]
router.kv.temperature = "0:1:0.5"
[zip]
"cluster.workers" = [2, 4]
"workload.arrival" = [{ process = "poisson", rate = 1 }, { process = "poisson", rate = 2 }]
[sample]
method = "random"
points = 2
ranges.router.event_loss = { low = 0, high = 0.5 }
[baseline]
router.mode = "round-robin"
"#;

#[test]
fn a_sweep_file_is_read_and_written_back() {
    let spec = Spec::parse(FILE, "file").unwrap();
    assert_eq!((spec.seed, spec.seeds), (Some(7), 3));
    assert_eq!(spec.set.keys().collect::<Vec<_>>(), ["workload.requests"]);
    assert_eq!(spec.grid["router.kv.temperature"].len(), 3);
    assert_eq!(spec.zip["workload.arrival"].len(), 2);
    assert!(spec.zip["workload.arrival"][0].is_table());
    assert_eq!(spec.baseline["router.mode"].as_str(), Some("round-robin"));
    assert!(spec.sample.as_ref().unwrap().ranges.contains_key("router.event_loss"));
    assert_eq!(Spec::parse(&spec.to_toml(), "again").unwrap(), spec);
}

#[test]
fn options_replace_what_the_file_says() {
    let mut spec = Spec::parse(FILE, "file").unwrap();
    spec.put("router.kv.temperature", vec![Value::Integer(0)]).unwrap();
    spec.put("workload.requests", vec![Value::Integer(5), Value::Integer(6)]).unwrap();
    assert_eq!(spec.set.keys().collect::<Vec<_>>(), ["router.kv.temperature"]);
    assert_eq!(
        spec.grid.keys().collect::<Vec<_>>(),
        ["router.kv.overlap_weight", "workload.requests"]
    );
    let message = spec.put("cluster.workers", vec![Value::Integer(1)]).unwrap_err().to_string();
    assert!(message.contains("[zip]"), "{message}");
}

#[test]
fn scenarios_and_sweeps_are_told_apart() {
    assert!(Spec::is_sweep("workload = \"multi-turn\""));
    assert!(Spec::is_sweep("[grid]\n"));
    assert!(!Spec::is_sweep("[workload]\nkind = \"diverse\""));
}
