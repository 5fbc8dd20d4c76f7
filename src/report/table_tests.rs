use super::render;
use crate::metrics::summary::Rate;
use crate::report::fixture::{run, summary};

#[test]
fn one_seed_shows_differences_without_intervals() {
    let text = render(&summary(vec![
        run("kv", 42, 0.63, 1.0),
        run("round-robin", 42, 0.22, 2.9),
        run("random", 42, 0.2, 1.3),
    ]));
    let expected = "";
    assert_eq!(text, expected, "\n{text}");
}
