//! Searches: the highest rate at which a goal holds, and what a grid of measured points says.
//!
//! The two halves share nothing but their statistics. [`capacity`] runs simulations, at rates that it
//! chooses itself; [`grid`], [`pareto`] and [`advice`] are pure functions of points already measured.

pub mod advice;
pub mod capacity;
mod effects;
pub mod goal;
pub mod grid;
pub mod load;
pub mod pareto;
pub mod steady;
pub mod trial;

pub use capacity::{Capacities, Capacity, Search};
pub use goal::{Goal, Statistic};
