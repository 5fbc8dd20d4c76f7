//! Non-negative least squares, min ‖A x − b‖ for x ≥ 0, by Lawson and Hanson's active sets (Solving
//! Least Squares Problems, 1974, chapter 23) on the normal equations of scaled columns.
//!
//! Our own, because the crate there is (`nnls` 0.5) brings sixteen others for a problem with six
//! unknowns, where the normal equations are accurate enough.

/// Solves for x; `rows` hold (coefficients, right-hand side). Columns of zeros get 0.
pub fn solve(rows: &[(Vec<f64>, f64)], columns: usize) -> Vec<f64> {
    let scale: Vec<f64> = (0..columns)
        .map(|j| rows.iter().map(|(a, _)| a[j] * a[j]).sum::<f64>().sqrt())
        .map(|norm| if norm > 0.0 { 1.0 / norm } else { 0.0 })
        .collect();
    let mut gram = vec![vec![0.0; columns]; columns];
    let mut right = vec![0.0; columns];
    for (a, b) in rows {
        for i in 0..columns {
            right[i] += scale[i] * a[i] * b;
            (0..columns).for_each(|j| gram[i][j] += scale[i] * a[i] * scale[j] * a[j]);
        }
    }
    let x = active_sets(&gram, &right);
    x.iter().zip(&scale).map(|(x, scale)| x * scale).collect()
}

fn active_sets(gram: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let n = right.len();
    let mut x = vec![0.0; n];
    let mut free: Vec<usize> = Vec::new();
    let tolerance = 1e-11 * right.iter().fold(0.0, |most: f64, b| most.max(b.abs()));
    // Each set of free columns is met once at most; the bound is against rounding.
    for _ in 0..4 * n * n + 1 {
        let gradient = |j: usize| right[j] - (0..n).map(|k| gram[j][k] * x[k]).sum::<f64>();
        let steepest = (0..n)
            .filter(|j| !free.contains(j) && gradient(*j) > tolerance)
            .max_by(|a, b| gradient(*a).total_cmp(&gradient(*b)));
        let Some(enters) = steepest else { break };
        free.push(enters);
        if !descend(gram, right, &mut x, &mut free) {
            free.retain(|j| *j != enters);
            break;
        }
    }
    x
}

/// Moves x to the optimum over the free columns, fixing those that would turn negative; false where
/// the free columns depend on each other.
fn descend(gram: &[Vec<f64>], right: &[f64], x: &mut [f64], free: &mut Vec<usize>) -> bool {
    loop {
        let Some(goal) = cholesky(gram, right, free) else { return false };
        let step = |(j, goal): (&usize, &f64)| (*goal <= 0.0).then(|| x[*j] / (x[*j] - goal));
        let blocked = free.iter().zip(&goal).filter_map(step).min_by(f64::total_cmp);
        let share = blocked.unwrap_or(1.0);
        for (j, goal) in free.iter().zip(&goal) {
            x[*j] += share * (goal - x[*j]);
        }
        if blocked.is_none() {
            return true;
        }
        let fixed = |j: &usize| x[*j] <= 1e-14;
        free.iter()
            .filter(|j| fixed(j))
            .copied()
            .collect::<Vec<_>>()
            .iter()
            .for_each(|j| x[*j] = 0.0);
        free.retain(|j| x[*j] > 0.0);
    }
}

/// Solves the normal equations of the free columns; `None` where they are singular.
fn cholesky(gram: &[Vec<f64>], right: &[f64], free: &[usize]) -> Option<Vec<f64>> {
    let n = free.len();
    let mut low = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| low[i][k] * low[j][k]).sum();
            let rest = gram[free[i]][free[j]] - dot;
            low[i][j] = match i == j {
                true if rest > 1e-10 => rest.sqrt(),
                true => return None,
                false => rest / low[j][j],
            };
        }
    }
    let mut y = vec![0.0; n];
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| low[i][k] * y[k]).sum();
        y[i] = (right[free[i]] - dot) / low[i][i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| low[k][i] * y[k]).sum();
        y[i] = (y[i] - dot) / low[i][i];
    }
    Some(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn residual(rows: &[(Vec<f64>, f64)], x: &[f64]) -> f64 {
        let off = |(a, b): &(Vec<f64>, f64)| a.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - b;
        rows.iter().map(|row| off(row).powi(2)).sum()
    }

    #[test]
    fn an_exact_non_negative_solution_is_found_whatever_the_units() {
        let truth = [5.0, 0.0, 3e-7, 0.02];
        let row = |i: f64| vec![1.0, (i * 7.0) % 5.0, i * i * 1e4, (i * 13.0) % 97.0];
        let value = |a: &[f64]| a.iter().zip(&truth).map(|(a, x)| a * x).sum();
        let rows: Vec<_> = (1..40)
            .map(f64::from)
            .map(row)
            .map(|a| {
                let b = value(&a);
                (a, b)
            })
            .collect();
        for (ours, truth) in solve(&rows, 4).iter().zip(truth) {
            assert!((ours - truth).abs() <= 1e-6 * truth.max(1e-3), "{ours}, {truth}");
        }
    }

    #[test]
    fn what_would_be_negative_is_zero_and_the_rest_makes_up_for_it() {
        // y = 4 − x falls; with a slope ≥ 0 the best line is flat at the mean.
        let rows: Vec<_> = (0..5).map(f64::from).map(|x| (vec![1.0, x], 4.0 - x)).collect();
        let x = solve(&rows, 2);
        assert!((x[0] - 2.0).abs() < 1e-12 && x[1] == 0.0, "{x:?}");
    }

    #[test]
    fn equal_and_empty_columns_do_no_harm() {
        let rows: Vec<_> = (1..6).map(f64::from).map(|x| (vec![x, x, 0.0], 3.0 * x)).collect();
        let x = solve(&rows, 3);
        assert!((x[0] + x[1] - 3.0).abs() < 1e-9 && x[2] == 0.0, "{x:?}");
        assert_eq!(solve(&[], 2), [0.0, 0.0]);
    }

    proptest! {
        /// The conditions of Karush, Kuhn and Tucker, tried by moving each coordinate a little.
        #[test]
        fn no_neighbour_is_better(values in prop::collection::vec(-3.0..3.0f64, 48)) {
            let rows: Vec<_> = values.chunks(6).map(|c| (c[..5].to_vec(), c[5])).collect();
            let x = solve(&rows, 5);
            prop_assert!(x.iter().all(|x| *x >= 0.0));
            let best = residual(&rows, &x);
            for j in 0..5 {
                for by in [-1e-3, 1e-3] {
                    let mut near = x.clone();
                    near[j] = (near[j] + by).max(0.0);
                    prop_assert!(residual(&rows, &near) >= best - 1e-8);
                }
            }
        }
    }
}
