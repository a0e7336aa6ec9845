//! Measuring: each program prints what it measured beside the peer or the
//! physical limit that it measured in the same run, and their ratio.
//!
//! All are one binary, since linking each by itself would take longer than to
//! run them. `benches NAME`; a few start this program again in another role.

#![expect(clippy::unwrap_used, reason = "a measurement stops on its first surprise")]

mod answer;
mod backup;
mod control;
mod figures;
mod flows;
mod get;
mod house;
mod http;
mod impact;
mod list;
mod orders;
mod process;
mod rating;
mod start;
mod store;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (name, words) = match words.split_first() {
        Some((name, words)) => (name.as_str(), words),
        None => ("", words.as_slice()),
    };
    match name {
        "answer" => answer::run(),
        "backup" => backup::run(),
        "control" => control::run(),
        "flows" => flows::run(),
        "get" => get::run(words),
        "impact" => impact::run(),
        "list" => list::run(),
        "orders" => orders::run(),
        "rating" => rating::run(),
        "start" => start::run(words),
        "store" => store::run(),
        _ => {
            eprintln!("usage: benches store|get|list|orders|flows|rating|impact|control|start|backup|answer");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
