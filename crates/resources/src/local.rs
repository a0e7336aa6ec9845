//! An agent in the server's own process: the same door without HTTP.
//!
//! For tests, simulations and benchmarks, and for trying the platform without
//! a hypervisor. It has a certificate like any other and is admitted like any
//! other, on each call.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use base::{Error, Result};
use drivers::converge::ControlPlane;
use drivers::wire::{
    ConsoleTail, EnrolRequest, EnrolToken, HostReport, ImageRef, IntentId, Intents, PROTOCOL, RecoveryAccess,
    RecoveryId, Report, ReportAnswer, TaskId,
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::runtime::Handle;

use crate::door::Door;
use crate::tasks::Recovery;

/// The server, as an agent in the same process sees it. Not to be called from
/// the threads of the runtime itself: its calls block.
pub struct Local {
    door: Arc<Door>,
    certificate: Vec<u8>,
    /// The host that it is.
    pub host: base::id::HostId,
    runtime: Handle,
}

impl Local {
    /// Enrols a host with a token, as its agent would.
    ///
    /// # Errors
    /// As [`Door::enrol`]; `Invalid` for what is not a token.
    pub fn enrol(door: Arc<Door>, token: &str, host: HostReport, runtime: Handle) -> Result<Self> {
        let token: EnrolToken = token.parse().map_err(|e: String| Error::invalid("token.malformed", e))?;
        let broken = |e: rcgen::Error| Error::bug("local.key", "a key could not be made").because(e);
        let key = rcgen::KeyPair::generate().map_err(broken)?;
        let csr_pem =
            rcgen::CertificateParams::default().serialize_request(&key).map_err(broken)?.pem().map_err(broken)?;
        let request = EnrolRequest { protocol: PROTOCOL, secret: token.secret, csr_pem, host };
        let answer = runtime.block_on(door.enrol(request, |cx| cx))?;
        let certificate = crate::ca::leaf(&answer.certificate_pem)?;
        Ok(Local { door, certificate, host: answer.host_id.parse()?, runtime })
    }
}

impl ControlPlane for Local {
    fn intents(&self, after: u64, wait: Duration) -> Result<Intents> {
        self.runtime
            .block_on(async { self.door.intents(&self.door.admit(&self.certificate).await?, after, wait).await })
    }

    fn report(&self, report: &Report) -> Result<ReportAnswer> {
        self.runtime
            .block_on(async { self.door.observe(&self.door.admit(&self.certificate).await?, report.clone()).await })
    }

    fn console(&self, tail: &ConsoleTail) -> Result<()> {
        self.runtime
            .block_on(async { self.door.console(&self.door.admit(&self.certificate).await?, tail.clone()).await })
    }

    fn access(&self, task: &TaskId) -> Result<serde_json::Value> {
        self.runtime
            .block_on(async { self.door.access(&self.door.admit(&self.certificate).await?, task.clone()).await })
    }

    fn recover(&self, machine: &IntentId, recovery: &RecoveryId, disk: &str) -> Result<RecoveryAccess> {
        let ask = Recovery { machine: machine.clone(), recovery: recovery.clone(), disk: disk.to_owned() };
        let told = self
            .runtime
            .block_on(async { self.door.recover(&self.door.admit(&self.certificate).await?, ask).await })?;
        serde_json::from_value(told)
            .map_err(|e| Error::bug("recovery.access", "what opens a recovery does not read").because(e))
    }

    fn image(&self, image: &ImageRef, offset: u64, into: &mut dyn Write) -> Result<()> {
        let cut_off =
            |e: std::io::Error| Error::unavailable("image.cut_off", "the image could not be copied").because(e);
        let (mut file, _) = self.runtime.block_on(async {
            self.door.image(&self.door.admit(&self.certificate).await?, image.sha256.clone()).await
        })?;
        self.runtime.block_on(file.seek(std::io::SeekFrom::Start(offset))).map_err(cut_off)?;
        let mut chunk = vec![0u8; 256 << 10];
        loop {
            let read = self.runtime.block_on(file.read(&mut chunk)).map_err(cut_off)?;
            match chunk.get(..read).filter(|chunk| !chunk.is_empty()) {
                Some(chunk) => into.write_all(chunk).map_err(cut_off)?,
                None => return Ok(()),
            }
        }
    }
}
