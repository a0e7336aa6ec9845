//! `yunwei-demo`: the main job, shown.
fn main() {}
