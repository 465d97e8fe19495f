//! `loadtest`.

fn main() {}
