//! `yunwei-agent`: a worker on a host.
fn main() {}
