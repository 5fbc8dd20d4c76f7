//! `points.csv`: one row per point, seed and router.

use crate::report::line::quoted;
use crate::sweep::{METRICS, Table};

/// The whole file. `router.mode` has no column of its own beside `router`; a key that a point leaves
/// to the scenario is empty, and so is a metric that a run has not.
pub fn points(table: &Table) -> String {
    let keys: Vec<&String> = table.plan.keys.iter().filter(|key| *key != "router.mode").collect();
    let names = METRICS.iter().map(|metric| metric.name.to_string());
    let head = ["point", "seed", "router"].map(String::from).into_iter();
    let head = head.chain(keys.iter().map(|key| quoted(key)));
    let tail = ["status", "reason"].map(String::from);
    let mut text = head.chain(names).chain(tail).collect::<Vec<_>>().join(",") + "\n";
    for row in table.rows() {
        let cell = &table.plan.cells[row.cell];
        let mut columns = vec![cell.point.to_string(), row.seed.to_string(), quoted(&cell.router)];
        columns.extend(keys.iter().map(|key| quoted(&table.plan.shown(row.cell, key))));
        match &row.outcome {
            Ok(values) => {
                let show = |value: &Option<f64>| value.map_or(String::new(), |v| v.to_string());
                columns.extend(values.iter().map(show));
                columns.extend(["ok".into(), String::new()]);
            }
            Err(reason) => {
                columns.extend(METRICS.iter().map(|_| String::new()));
                columns.extend(["failed".into(), quoted(reason)]);
            }
        }
        text += &columns.join(",");
        text.push('\n');
    }
    text
}
