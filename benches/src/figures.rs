//! What measurements have in common: rates, and figures beside their peer.

use std::time::{Duration, Instant};

/// How often `work` ran within `span`, per second, over `threads` threads.
pub fn rate(threads: usize, span: Duration, work: impl Fn(usize) + Sync) -> f64 {
    let began = Instant::now();
    let done = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (work, done) = (&work, &done);
            scope.spawn(move || {
                while began.elapsed() < span {
                    work(thread);
                    done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner() as f64 / began.elapsed().as_secs_f64()
}

/// Prints one line: what, how much, beside what, the ratio.
pub fn report(what: &str, value: f64, unit: &str, peer: &str, limit: f64) {
    println!("{what:<44} {value:>12.0} {unit:<10} {peer} {limit:.0} {unit}  ratio {:.2}", value / limit);
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
