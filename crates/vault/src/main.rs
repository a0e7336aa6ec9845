//! `yunwei-vault`: the backup engine as a process of its own.

use std::process::ExitCode;

const USAGE: &str = "\
yunwei-vault work    does one backup task, told by the server on standard input
";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("work") => vault::work::main(),
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
