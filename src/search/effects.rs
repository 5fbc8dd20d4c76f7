//! What each setting of a grid does, seen from the best point: which of its levels are as good, what
//! the others cost, and whether they help anywhere.

use super::grid::{Best, Level, Objective, Point, cost_percent, is_worse};
use crate::stats::Interval;

/// The levels of one setting, with all others as at the best point.
pub(super) struct Effect<'a> {
    /// Name of the setting.
    pub name: &'a str,
    /// Its levels, ascending (names: in order of appearance).
    pub levels: Vec<&'a Level>,
    /// Places in `levels`: the run around the best point's that is as good.
    pub good: std::ops::RangeInclusive<usize>,
    /// Levels outside it, towards either end; names are all in the second.
    pub sides: [Option<Side<'a>>; 2],
}

/// Levels of a setting on one side of the good ones.
pub(super) struct Side<'a> {
    /// The nearest to the good ones (names: the only one).
    pub nearest: &'a Level,
    /// There are further ones.
    pub more: bool,
    /// The least any of them costs; `None` where no such point counts.
    pub cost: Option<Interval>,
    /// Every one of them is significantly worse than the best point.
    pub significant: bool,
    /// Nowhere on the grid is one significantly better than the best point's level, all else equal.
    pub never_helps: bool,
}

/// One effect for every setting with at least two levels.
pub(super) fn effects<'a>(
    points: &'a [Point],
    best: &Best,
    objective: &Objective,
) -> Vec<Effect<'a>> {
    let view = View { points, best, objective };
    let settings = 0..points[best.place].settings.len();
    settings.filter_map(|setting| view.effect(setting)).collect()
}

struct View<'a, 'b> {
    points: &'a [Point],
    best: &'b Best,
    objective: &'b Objective,
}

impl<'a> View<'a, '_> {
    fn levels(&self, setting: usize) -> Vec<&'a Level> {
        let mut levels: Vec<&Level> = Vec::new();
        for point in self.points {
            let level = &point.settings[setting].1;
            if !levels.contains(&level) {
                levels.push(level);
            }
        }
        levels.sort_by(|a, b| match (a, b) {
            (Level::Number(a), Level::Number(b)) => a.total_cmp(b),
            _ => std::cmp::Ordering::Equal,
        });
        levels
    }

    fn effect(&self, setting: usize) -> Option<Effect<'a>> {
        let levels = self.levels(setting);
        if levels.len() < 2 {
            return None;
        }
        let own = &self.points[self.best.place].settings[setting];
        let at = levels.iter().position(|level| **level == own.1)?;
        let equal = |place: &usize| {
            let point = self.at(self.best.place, setting, levels[*place]);
            point.is_some_and(|point| self.best.equals.contains(&point))
        };
        let last = (at + 1..levels.len()).take_while(equal).last().unwrap_or(at);
        let first = (0..at).rev().take_while(equal).last().unwrap_or(at);
        let below = levels[..first].iter().rev().copied().collect::<Vec<_>>();
        let above = &levels[last + 1..];
        let sides = [self.side(setting, &below), self.side(setting, above)];
        Some(Effect { name: &own.0, levels, good: first..=last, sides })
    }

    /// The point that differs from the one at `place` in one setting.
    fn at(&self, place: usize, setting: usize, level: &Level) -> Option<usize> {
        let base = &self.points[place].settings;
        self.points.iter().position(|point| {
            let mut pairs = std::iter::zip(&point.settings, base).enumerate();
            pairs.all(|(i, (own, base))| if i == setting { own.1 == *level } else { own == base })
        })
    }

    /// `levels` from the nearest to the good ones outwards.
    fn side(&self, setting: usize, levels: &[&'a Level]) -> Option<Side<'a>> {
        let (nearest, others) = levels.split_first()?;
        let best = &self.points[self.best.place];
        let there: Vec<usize> = levels
            .iter()
            .filter_map(|level| self.at(self.best.place, setting, level))
            .filter(|place| self.points[*place].counts(self.objective))
            .collect();
        let cost =
            there.iter().map(|place| cost_percent(&self.points[*place], best, self.objective));
        Some(Side {
            nearest,
            more: !others.is_empty(),
            cost: cost.min_by(|a, b| a.mean.total_cmp(&b.mean)),
            significant: there.iter().all(|place| !self.best.equals.contains(place)),
            never_helps: !self.helps(setting, levels),
        })
    }

    /// Whether, anywhere on the grid, one of `levels` is significantly better than the best point's
    /// level of this setting, all else equal.
    fn helps(&self, setting: usize, levels: &[&Level]) -> bool {
        let own = &self.points[self.best.place].settings[setting].1;
        let pairs: Vec<(&Point, &Point)> = (0..self.points.len())
            .filter(|place| levels.contains(&&self.points[*place].settings[setting].1))
            .filter_map(|place| {
                let base = self.at(place, setting, own)?;
                Some((&self.points[place], &self.points[base]))
            })
            .filter(|(there, base)| there.counts(self.objective) && base.counts(self.objective))
            .collect();
        pairs.iter().any(|(there, base)| is_worse(base, there, self.objective, pairs.len()))
    }
}
