use super::*;

fn plan(text: &str) -> Plan {
    let text = format!("workload = \"diverse\"\n{text}");
    Plan::new(Spec::parse(&text, "test").unwrap()).unwrap()
}

/// Cells as `key values / router -> values / router of the baseline`.
fn cells(plan: &Plan) -> Vec<String> {
    let shown = |cell: usize| {
        let settings = &plan.points[plan.cells[cell].point].settings;
        let values: Vec<String> = settings.values().map(axis::show).collect();
        format!("{}/{}", values.join(" "), plan.cells[cell].router)
    };
    let cell =
        |(number, cell): (usize, &Cell)| format!("{} -> {}", shown(number), shown(cell.baseline));
    plan.cells.iter().enumerate().map(cell).collect()
}

#[test]
fn a_grid_is_every_combination_and_the_first_point_is_the_baseline() {
    let plan = plan("[set]\nrouter.mode = \"kv\"\n[grid]\na = [1, 2]\nb = \"1:3:1\"");
    assert_eq!(plan.keys, ["a", "b"]);
    assert_eq!(
        cells(&plan),
        [
            "1 1/kv -> 1 1/kv",
            "1 2/kv -> 1 1/kv",
            "1 3/kv -> 1 1/kv",
            "2 1/kv -> 1 1/kv",
            "2 2/kv -> 1 1/kv",
            "2 3/kv -> 1 1/kv"
        ]
    );
}

#[test]
fn zipped_lists_go_together_and_are_combined_with_the_grid() {
    let plan =
        plan("[set]\nrouter.mode = \"kv\"\n[grid]\na = [1, 2]\n[zip]\nb = [3, 4]\nc = [5, 6]");
    let points: Vec<String> = cells(&plan);
    assert_eq!(points.len(), 4);
    assert!(points[0].starts_with("1 3 5/kv"));
    assert!(points[1].starts_with("1 4 6/kv"));
    assert!(points[3].starts_with("2 4 6/kv"));
}

#[test]
fn every_router_is_compared_with_itself_at_the_baseline() {
    let text = "[set]\nrouter.mode = \"kv,random\"\n[grid]\na = [1, 2]\n[baseline]\na = 2.0";
    assert_eq!(
        cells(&plan(text)),
        ["1/kv -> 2/kv", "1/random -> 2/random", "2/kv -> 2/kv", "2/random -> 2/random"]
    );
}

#[test]
fn a_router_as_baseline_is_taken_at_the_same_point() {
    let text = "[set]\nrouter.mode = \"kv,random\"\n[grid]\na = [1, 2]\n[baseline]\nrouter.mode = \"random\"";
    assert_eq!(
        cells(&plan(text)),
        ["1/kv -> 1/random", "1/random -> 1/random", "2/kv -> 2/random", "2/random -> 2/random"]
    );
    let text = "[grid]\na = [1, 2]\nrouter.mode = [\"kv\", \"random\"]\n[baseline]\nrouter.mode = \"random\"";
    assert_eq!(
        cells(&plan(text)),
        [
            "1 kv/kv -> 1 random/random",
            "1 random/random -> 1 random/random",
            "2 kv/kv -> 2 random/random",
            "2 random/random -> 2 random/random"
        ]
    );
}

#[test]
fn a_baseline_outside_the_grid_is_an_extra_point() {
    let text =
        "[set]\nrouter.mode = \"kv\"\n[grid]\na = [1, 2]\n[baseline]\nrouter.mode = \"random\"";
    let plan = plan(text);
    assert_eq!(
        cells(&plan),
        ["1/kv -> random/random", "2/kv -> random/random", "random/random -> random/random"]
    );
    assert_eq!(plan.keys, ["a", "router.mode"]);
    assert!(plan.points[2].is_extra);
}

#[test]
fn shards_take_every_nth_point() {
    let held = |text: &str| {
        let shard = Shard::parse(text).unwrap();
        (0..7).filter(|point| shard.holds(*point)).collect::<Vec<usize>>()
    };
    assert_eq!(held("1/1"), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(held("1/3"), [0, 3, 6]);
    assert_eq!(held("3/3"), [2, 5]);
    for wrong in ["0/3", "4/3", "1", "a/b", "1/0"] {
        assert!(Shard::parse(wrong).is_err(), "{wrong}");
    }
}
