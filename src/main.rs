//! The `kvroute` program.
fn main() {}
