//! The Pareto front: points that no other point beats in one objective without losing in another.
//!
//! It is taken over means. Points that count under all objectives take part; of points that are
//! equal in all of them all belong to the front, or none.

use super::grid::{Objective, Point};
use crate::stats::mean;

/// Places of the points on the front, ascending.
pub fn front(points: &[Point], objectives: &[Objective]) -> Vec<usize> {
    let counts = |place: &usize| objectives.iter().all(|goal| points[*place].counts(goal));
    let means = |place: usize| {
        let goals = objectives.iter();
        goals.map(|goal| mean(&goal.costs(&points[place]))).collect::<Vec<f64>>()
    };
    let costs: Vec<(usize, Vec<f64>)> =
        (0..points.len()).filter(counts).map(|place| (place, means(place))).collect();
    let beaten = |own: &[f64]| costs.iter().any(|(_, other)| dominates(other, own));
    costs.iter().filter(|(_, own)| !beaten(own)).map(|(place, _)| *place).collect()
}

/// At least as good everywhere and better somewhere; less is better.
fn dominates(one: &[f64], other: &[f64]) -> bool {
    let pairs = || std::iter::zip(one, other);
    pairs().all(|(a, b)| a <= b) && pairs().any(|(a, b)| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ttft: f64, goodput: f64) -> Point {
        let metrics = vec![("ttft".into(), vec![ttft; 2]), ("goodput".into(), vec![goodput; 2])];
        Point { settings: Vec::new(), metrics, overloaded: false }
    }

    #[test]
    fn no_point_of_the_front_is_beaten_and_every_other_is() {
        let objective = |metric: &str, maximize| Objective {
            metric: metric.into(),
            label: metric.into(),
            maximize,
        };
        let both = [objective("ttft", false), objective("goodput", true)];
        let mut points = vec![
            point(100.0, 5.0),
            point(200.0, 9.0),
            point(200.0, 8.0),
            point(150.0, 5.0),
            point(100.0, 5.0),
            point(50.0, 9.5),
        ];
        points[5].overloaded = true;
        assert_eq!(front(&points, &both), [0, 1, 4]);
        assert_eq!(front(&points, &both[..1]), [0, 4]);
        points[5].overloaded = false;
        assert_eq!(front(&points, &both), [5]);
        points[5].metrics.pop();
        assert_eq!(front(&points, &both), [0, 1, 4], "without a goodput it cannot be compared");
    }
}
