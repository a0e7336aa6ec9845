//! `yunwei audit`: the log, checked.

use std::process::ExitCode;

use clap::Subcommand;

use super::{DataArgs, show};

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Recompute the whole log and name the first entry that is not as it was written.
    ///
    /// Works beside a running server. Exit status 0 where everything is as it was, 1 where it is not.
    Verify {
        #[command(flatten)]
        data: DataArgs,
    },
}

pub fn run(command: AuditCommand, json: bool) -> ExitCode {
    let AuditCommand::Verify { data } = command;
    let report = match gate::audit::verify_at(&data.location(), &data.data.join("keys")) {
        Ok(report) => report,
        Err(error) => {
            super::complain(&error, json);
            return super::exit(&error);
        }
    };
    if json {
        let mut found = serde_json::to_value(&report).unwrap_or_default();
        found["ok"] = report.is_good().into();
        show::json(&found);
    } else {
        println!("{report}");
    }
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
