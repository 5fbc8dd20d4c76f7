//! Pearson's chi-square tests, with the tail probability.

/// A statistic and its degrees of freedom; add them to test several samples together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChiSquare {
    /// The statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub freedom: u32,
}

impl ChiSquare {
    /// Counts against probabilities. Cells that expect fewer than 5 are pooled; a cell that expects
    /// none must have none.
    pub fn of_counts(counts: &[u64], probabilities: &[f64]) -> ChiSquare {
        let total: u64 = counts.iter().sum();
        let expected: Vec<f64> = probabilities.iter().map(|p| p * total as f64).collect();
        let impossible = counts.iter().zip(&expected).any(|(n, e)| *n > 0 && *e == 0.0);
        assert!(!impossible, "something impossible was drawn: {counts:?} {probabilities:?}");
        let cells = pooled(&expected, &[counts]);
        let statistic =
            cells.iter().map(|(expected, n)| (n[0] as f64 - expected).powi(2) / expected).sum();
        ChiSquare { statistic, freedom: cells.len().saturating_sub(1) as u32 }
    }

    /// Two counts of equally many draws against each other, cells pooled alike.
    pub fn of_two(a: &[u64], b: &[u64]) -> ChiSquare {
        let mean: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a + b) as f64 / 2.0).collect();
        let cells = pooled(&mean, &[a, b]);
        let part =
            |(_, n): &(f64, Vec<u64>)| (n[0] as f64 - n[1] as f64).powi(2) / (n[0] + n[1]) as f64;
        let statistic = cells.iter().map(part).sum();
        ChiSquare { statistic, freedom: cells.len().saturating_sub(1) as u32 }
    }

    /// Both together.
    pub fn and(self, other: ChiSquare) -> ChiSquare {
        ChiSquare {
            statistic: self.statistic + other.statistic,
            freedom: self.freedom + other.freedom,
        }
    }

    /// Probability of a statistic at least as large.
    pub fn tail(self) -> f64 {
        if self.freedom == 0 {
            return 1.0;
        }
        upper_gamma(f64::from(self.freedom) / 2.0, self.statistic / 2.0)
    }
}

/// Cells that expect 5 or more, and all others as one (joined to the largest where that is small).
fn pooled(expected: &[f64], counts: &[&[u64]]) -> Vec<(f64, Vec<u64>)> {
    let cell = |at: usize| (expected[at], counts.iter().map(|n| n[at]).collect::<Vec<u64>>());
    let join = |a: &mut (f64, Vec<u64>), b: (f64, Vec<u64>)| {
        a.0 += b.0;
        a.1.iter_mut().zip(b.1).for_each(|(a, b)| *a += b);
    };
    let mut cells: Vec<_> =
        (0..expected.len()).filter(|at| expected[*at] >= 5.0).map(cell).collect();
    let mut rest = (0.0, vec![0; counts.len()]);
    (0..expected.len()).filter(|at| expected[*at] < 5.0).for_each(|at| join(&mut rest, cell(at)));
    if rest.0 >= 5.0 {
        cells.push(rest);
    } else if let Some(largest) = cells.iter_mut().max_by(|a, b| a.0.total_cmp(&b.0)) {
        join(largest, rest);
    }
    cells
}

/// Regularised upper incomplete gamma function Q(a, x): series below a + 1, continued fraction above.
fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - scale * sum;
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut fraction = d;
    for i in 1..10_000 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    scale * fraction
}

/// ln Γ(x) for x > 0: Stirling's series after shifting x above 10.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_agree_with_tables() {
        let tail = |statistic, freedom| ChiSquare { statistic, freedom }.tail();
        for (statistic, freedom, expected) in [
            (3.841_459, 1, 0.05),
            (6.634_897, 1, 0.01),
            (18.307_038, 10, 0.05),
            (124.342_113, 100, 0.05),
            (5.0, 10, 0.891_178_0),
        ] {
            assert!((tail(statistic, freedom) - expected).abs() < 1e-6, "{statistic} {freedom}");
        }
    }
}
