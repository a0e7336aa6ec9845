//! `yunwei-agent`: a worker on a host.
//!
//! It asks its server what should be on this host, makes it so through libvirt, and reports what is
//! there. What it does and when is `drivers::converge`; here is how: the libvirt driver, the HTTPS
//! client, enrolment, and whether this host can virtualise at all. The only program that links libvirt.

mod bare;
mod check;
mod client;
mod command;
mod enrol;
mod files;
mod identity;
mod libvirt;
mod probe;
mod restored;
mod tasks;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yunwei-agent: {error} [{}]", error.code());
            command::exit_code(&error)
        }
    }
}

/// Says that a test is passed over because of what this machine lacks; where
/// `YUNWEI_TEST_TOOLS=require`, as in `script/test`, it fails instead.
#[cfg(test)]
fn pass_over(lacking: &str) {
    let required = std::env::var("YUNWEI_TEST_TOOLS").is_ok_and(|value| value == "require");
    assert!(!required, "{lacking}, and YUNWEI_TEST_TOOLS says that nothing is passed over");
    eprintln!("SKIPPED: {lacking}");
}
