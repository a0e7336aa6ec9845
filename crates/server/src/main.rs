//! `yunwei`: see `yunwei --help`.

fn main() -> std::process::ExitCode {
    server::cli::main()
}
