//! What a developer runs: `cargo xtask tidy` and `cargo xtask new`.

mod new;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask tidy                  check the house rules: arrows, names, sizes, owners of tables
cargo xtask new CRATE CAPABILITY  lay the folder of a new capability
";

fn main() -> ExitCode {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tidy"] => report(&tidy::check(&root)),
        ["new", room, capability] => {
            report(&new::lay(&root, room, capability).err().map(|e| e.to_string()).into_iter().collect::<Vec<_>>())
        }
        _ => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
    }
}

fn report(faults: &[String]) -> ExitCode {
    for fault in faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
