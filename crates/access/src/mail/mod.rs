//! Mails about accounts: invitations, links to set a new password, notices.
//!
//! An action asks for a mail by enqueuing an errand in its own transaction; a
//! worker runs it: it draws the link's secret, keeps its hash, writes the mail
//! and hands it over. So the secret of a link is in the mail and nowhere else.
//! A mail that has to be sent again gets a link of its own; the earlier one
//! stays good, for it may have arrived.
//!
//! Invariant: nothing that a person typed becomes a header or HTML as it is
//! (`texts::escape`, the address of `text::email`; test `names_cannot_write_headers_or_html`).
//!
//! Not here: how a mail leaves the house (`drivers::mail`), retries (`durable`).

pub(crate) mod links;
#[cfg(test)]
mod tests;
mod texts;

use std::time::Duration;

use base::id::AccountId;
use base::{Result, limits};
use drivers::mail::{Letter, Mail};
use durable::{Patience, Registry};
use gate::{Gate, Tx};
use serde::{Deserialize, Serialize};

use crate::accounts::{self, Account, AccountState};
use crate::announcements::{self, AnnouncementId};
use crate::invitations::{self, InvitationId, InvitationState};
use crate::notices::Notice;
use crate::passwords::attempts;
use crate::secret::{self, Of};
use crate::tenants;

/// Where the link of an invitation leads, behind the base address; `?token=` follows.
pub const INVITATION_PATH: &str = "/invitation";
/// Where the link to set a new password leads; `?token=` follows.
pub const RESET_PATH: &str = "/reset";
/// The kind of job that runs an [`Errand`].
pub const JOB: &str = "access.mail";

/// A mail that somebody asked for. It names no person and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum Errand {
    /// Ask somebody to join.
    Invitation {
        /// The invitation.
        invitation: InvitationId,
    },
    /// A link to set a new password; for an account that is not there, nothing is sent.
    Reset {
        /// The account.
        account: AccountId,
    },
    /// A notice that the password has been changed.
    PasswordChanged {
        /// The account.
        account: AccountId,
    },
    /// Something that everyone concerned is told.
    Announcement {
        /// What.
        announcement: AnnouncementId,
        /// Who is told.
        account: AccountId,
    },
    /// Something that the platform tells.
    Notice {
        /// Who is told.
        account: AccountId,
        /// What.
        notice: Notice,
    },
}

/// Asks for a mail, in the transaction of what it is about.
pub(crate) fn ask(tx: &mut Tx<'_>, errand: &Errand) -> Result<()> {
    durable::jobs::enqueue(tx, JOB, errand, None).map(drop)
}

/// Registers this room's lasting work: the job that writes and sends the mails,
/// and the reconciler that deletes what has run out.
#[must_use]
pub fn work(registry: Registry, postman: Postman) -> Registry {
    registry.job(JOB, Patience::default(), move |gate, _, errand| postman.deliver(gate, errand)).reconciler(
        "access.sweep",
        Duration::from_secs(3_600),
        crate::sweep,
    )
}

/// Who has left reads no mail here, and a program none at all.
fn can_be_told(account: &Account) -> bool {
    account.state == AccountState::Active && account.is_person()
}

/// Who writes and hands over the mails.
pub struct Postman {
    mail: Box<dyn Mail>,
    base: String,
}

impl Postman {
    /// One that hands over to `mail` and writes links that begin with `base`,
    /// the address under which people reach the portal (`https://cloud.example.com`).
    pub fn new(mail: Box<dyn Mail>, base: &str) -> Self {
        Postman { mail, base: base.trim_end_matches('/').to_owned() }
    }

    /// Runs an errand. What it is about may be gone by now; then there is nothing to send.
    ///
    /// # Errors
    /// Those of the database and of the mail's way out; try again.
    pub fn deliver(&self, gate: &Gate, errand: Errand) -> Result<()> {
        match errand {
            Errand::Invitation { invitation } => self.invite(gate, invitation),
            Errand::Reset { account } => self.reset(gate, account),
            Errand::PasswordChanged { account } => self.tell_changed(gate, account),
            Errand::Announcement { announcement, account } => self.announce(gate, announcement, account),
            Errand::Notice { account, notice } => self.notify(gate, account, &notice),
        }
    }

    fn invite(&self, gate: &Gate, id: InvitationId) -> Result<()> {
        let now = gate.now();
        let (secret, hash) = secret::mint(Of::Link)?;
        let found = gate.db().write(move |conn| {
            let Some(invitation) = invitations::store::find(conn, id)?
                .filter(|i| i.state == InvitationState::Pending && i.expires_at > now)
            else {
                return Ok(None);
            };
            links::insert(conn, &hash, links::INVITATION, &id.to_string(), invitation.expires_at)?;
            let tenant = tenants::store::load(conn, invitation.tenant)?.name;
            Ok(Some((invitation, tenant)))
        })?;
        let Some((invitation, tenant)) = found else { return Ok(()) };
        let link = format!("{}{INVITATION_PATH}?token={secret}", self.base);
        let days = limits::INVITATION_SECONDS / 86_400;
        let words = texts::invitation(&invitation.locale, &invitation.name, &tenant, &link, days);
        self.send(&id.to_string(), &hash, &invitation.email, words)
    }

    fn reset(&self, gate: &Gate, id: AccountId) -> Result<()> {
        let now = gate.now();
        let until = now + Duration::from_secs(limits::RESET_SECONDS.unsigned_abs());
        let (secret, hash) = secret::mint(Of::Link)?;
        let found = gate.db().write(move |conn| {
            let Some(account) = accounts::store::find(conn, id)?.filter(can_be_told) else {
                return Ok(None);
            };
            // Whoever asks again and again, as a stranger may, does not fill somebody's mailbox.
            if attempts::was_mailed(conn, id, now)? {
                return Ok(None);
            }
            links::insert(conn, &hash, links::RESET, &id.to_string(), until)?;
            Ok(Some(account))
        })?;
        let Some(account) = found else { return Ok(()) };
        let link = format!("{}{RESET_PATH}?token={secret}", self.base);
        let words = texts::reset(&account.locale, &account.name, &link, limits::RESET_SECONDS / 60);
        self.send(&id.to_string(), &hash, &account.email, words)?;
        // Only now: what could not be sent is tried again.
        gate.db().write(move |conn| attempts::mailed(conn, id, now))
    }

    fn tell_changed(&self, gate: &Gate, id: AccountId) -> Result<()> {
        let found = gate.db().read(move |conn| accounts::store::find(conn, id))?;
        let Some(account) = found.filter(can_be_told) else { return Ok(()) };
        let words = texts::password_changed(&account.locale, &account.name, &self.base);
        self.send(&id.to_string(), &secret::random()?, &account.email, words)
    }

    fn announce(&self, gate: &Gate, id: AnnouncementId, to: AccountId) -> Result<()> {
        let found = gate.db().read(move |conn| {
            let account = accounts::store::find(conn, to)?.filter(can_be_told);
            let told = announcements::load(conn, id)?;
            Ok(account.filter(|_| told.ended_at.is_none()).map(|account| (account, told)))
        })?;
        let Some((account, told)) = found else { return Ok(()) };
        let link = format!("{}/announcements", self.base);
        let words = texts::announcement(&account.locale, &account.name, &told.title, &told.text, &link);
        // The same mail every time that it has to be sent: one announcement, one person.
        let mut unique = [0; 32];
        unique[..16].copy_from_slice(&to.0.to_be_bytes());
        self.send(&id.to_string(), &unique, &account.email, words)
    }

    fn notify(&self, gate: &Gate, id: AccountId, notice: &Notice) -> Result<()> {
        let found = gate.db().read(move |conn| accounts::store::find(conn, id))?;
        let Some(account) = found.filter(can_be_told) else { return Ok(()) };
        let spoken = if account.locale == "en" { &notice.en } else { &notice.zh };
        let link = format!("{}{}", self.base, notice.path);
        let words = texts::notice(&account.locale, &account.name, &spoken.title, &spoken.text, &link);
        // The same mail every time that it has to be sent: what is told, to one person.
        self.send(&id.to_string(), &gate::audit::digest(notice), &account.email, words)
    }

    fn send(&self, about: &str, unique: &[u8; 32], to: &str, words: texts::Words) -> Result<()> {
        let id = format!("{about}-{}", base::hex::encode(&unique[..16]));
        self.mail.send(&Letter {
            id,
            to: to.to_owned(),
            subject: words.subject,
            text: words.text,
            html: Some(words.html),
        })
    }
}
