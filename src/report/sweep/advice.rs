//! The recommendation below a sweep's table: its grid in plain words (`search::advice`).

use super::text::short_names;
use crate::search::advice::recommend;
use crate::search::grid::{Level, Objective, Point};
use crate::sweep::axis::number;
use crate::sweep::{Better, METRICS, Table};

/// One or more sentences on the cells of the grid under metric `place`; `None` where there is nothing
/// to choose between, or the metric has no better side.
pub(super) fn advice(table: &Table, place: usize) -> Option<String> {
    let metric = &METRICS[place];
    let objective = Objective {
        metric: metric.name.into(),
        label: metric.label.into(),
        maximize: match metric.better {
            Better::Lower => false,
            Better::Higher => true,
            Better::Neither => return None,
        },
    };
    let plan = &table.plan;
    let in_grid = |cell: &usize| !plan.points[plan.cells[*cell].point].is_extra;
    let cells: Vec<usize> = (0..plan.cells.len()).filter(in_grid).collect();
    let points: Vec<Point> = cells.iter().map(|cell| point(table, *cell, place)).collect();
    (points.len() > 1).then(|| recommend(&points, &objective))
}

fn point(table: &Table, cell: usize, place: usize) -> Point {
    let metric = &METRICS[place];
    let values = table.values(cell, place);
    // Fewer seeds than asked (a failure, an early stop) cannot be paired with the others'.
    let complete = values.len() == table.plan.seeds.len();
    let values = values.into_iter().map(|(_, value)| value * metric.scale).collect();
    Point {
        settings: settings(table, cell),
        metrics: vec![(metric.name.into(), if complete { values } else { Vec::new() })],
        overloaded: !table.is_steady(cell),
    }
}

/// The swept keys by their short names; the router where there are several.
fn settings(table: &Table, cell: usize) -> Vec<(String, Level)> {
    let plan = &table.plan;
    let values = &plan.points[plan.cells[cell].point].settings;
    let level = |key: &String| match values.get(key).and_then(number) {
        Some(value) => Level::Number(value),
        None => Level::Name(plan.shown(cell, key)),
    };
    let words = |name: String| name.replace('_', " ");
    let names = short_names(&plan.keys).into_iter().map(words);
    let mut settings: Vec<(String, Level)> =
        names.zip(plan.keys.iter().map(level)).filter(|(name, _)| name != "mode").collect();
    let router = &plan.cells[cell].router;
    let in_grid = plan.cells.iter().filter(|cell| !plan.points[cell.point].is_extra);
    if in_grid.clone().any(|other| other.router != *router) {
        settings.push(("router".into(), Level::Name(router.clone())));
    }
    settings
}
