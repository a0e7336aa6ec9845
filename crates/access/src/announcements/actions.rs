//! Telling, reading, and seeing who has read.

use base::id::AccountId;
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, AnyAction, Effect, Tx};
use serde::{Deserialize, Serialize};

use super::{Announcement, AnnouncementId, Audience, Receipt, Received, TenantReceipt, store};
use crate::mail::{self, Errand};
use crate::roles::actions::Nothing;
use crate::text;

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&CREATE, &LIST, &RECEIPTS, &END, &INBOX, &READ];

/// The kind, in audit and policies.
pub const KIND: &str = "announcement";

/// Something to be told.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAnnouncement {
    /// Who is told.
    pub audience: Audience,
    /// In a line.
    pub title: String,
    /// In plain paragraphs.
    pub text: String,
    /// Whether a mail goes to everybody, too.
    #[serde(default)]
    pub mail: bool,
}

/// A text of several lines that says something.
fn told(text: &str) -> Result<String> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    let fault = match text.len() {
        0 => "something must be said here",
        n if n > limits::ANNOUNCEMENT_BYTES_MAX => "that is too long to be read",
        _ if text.chars().any(|c| c.is_control() && c != '\n') => "control characters do not belong here",
        _ => return Ok(text.to_owned()),
    };
    Err(Error::invalid("announcement.text", fault).at("text"))
}

/// Tells everyone concerned.
pub static CREATE: Action<NewAnnouncement, Announcement> = Action {
    name: "announcement.create",
    summary: "Tells everyone of the tenant something, or, by the operator, everyone of its customers.",
    effect: Effect::Create,
    run: |tx, input| {
        let (id, tenant, now) = (AnnouncementId::fresh(tx.ids(), tx.now), tx.cx().tenant(), tx.now);
        tx.grant("announcement.create", KIND, &id.to_string(), tenant, Class::Internal, ())?;
        if input.audience == Audience::Customers && !store::is_operator(tx, tenant)? {
            let message = "only the operator has customers to tell";
            return Err(Error::invalid("announcement.audience", message).at("audience"));
        }
        let (title, text) = (text::name(&input.title, "title")?, told(&input.text)?);
        let made_by = tx.cx().actor().to_string();
        let audience = input.audience;
        let made =
            Announcement { id, tenant, audience, title, text, made_by, made_at: now, ended_at: None, told: 0, read: 0 };
        store::insert(tx, &made)?;
        tell(tx, id, input.audience, input.mail)?;
        store::load(tx, id)
    },
};

/// Addresses everybody, and asks for their mails.
fn tell(tx: &mut Tx<'_>, id: AnnouncementId, audience: Audience, by_mail: bool) -> Result<()> {
    let tenant = tx.cx().tenant();
    let addressed = store::addressed(tx, tenant, audience)?;
    if addressed.len() > limits::ANNOUNCEMENT_READERS_MAX {
        let message = format!("at most {} people are told at once", limits::ANNOUNCEMENT_READERS_MAX);
        return Err(Error::exhausted("announcement.too_many", message));
    }
    for (account, of) in addressed {
        store::address(tx, id, account, of)?;
        if by_mail {
            mail::ask(tx, &Errand::Announcement { announcement: id, account })?;
        }
    }
    Ok(())
}

/// Announcements.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Announcements {
    /// The newest first.
    pub items: Vec<Announcement>,
}

/// Lists what the tenant has told.
pub static LIST: Action<Nothing, Announcements> = Action {
    name: "announcement.list",
    summary: "Lists what the tenant has told, and how many have read it.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = tx.cx().tenant();
        tx.grant("announcement.list", "tenant", &tenant.to_string(), tenant, Class::Internal, ())?;
        Ok(Announcements { items: store::of_tenant(tx, tenant)? })
    },
};

/// Which announcement.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnouncementRef {
    /// The identifier.
    pub id: AnnouncementId,
}

fn granted(tx: &mut Tx<'_>, action: &str, id: AnnouncementId) -> Result<Announcement> {
    let found = store::load(tx, id)?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(gate::Granted::into_inner)
}

/// Who has read an announcement.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipts {
    /// The announcement.
    pub announcement: Announcement,
    /// By name, those first who have not; nobody where customers were told.
    pub people: Vec<Receipt>,
    /// By tenant.
    pub tenants: Vec<TenantReceipt>,
}

/// Shows who has read an announcement.
pub static RECEIPTS: Action<AnnouncementRef, Receipts> = Action {
    name: "announcement.receipts",
    summary: "Shows who has read an announcement and who has not: by name within the tenant, by number of customers.",
    effect: Effect::Read,
    run: |tx, input| {
        let announcement = granted(tx, "announcement.receipts", input.id)?;
        let people = match announcement.audience {
            Audience::Own => store::people(tx, input.id)?,
            Audience::Customers => Vec::new(),
        };
        Ok(Receipts { announcement, people, tenants: store::tenants(tx, input.id)? })
    },
};

/// Shows an announcement no more.
pub static END: Action<AnnouncementRef, Announcement> = Action {
    name: "announcement.end",
    summary: "Shows an announcement to nobody any more. Who has read it stays on record.",
    effect: Effect::Change,
    run: |tx, input| {
        granted(tx, "announcement.end", input.id)?;
        let now = tx.now;
        store::end(tx, input.id, now)?;
        store::load(tx, input.id)
    },
};

fn reader(tx: &Tx<'_>) -> Result<AccountId> {
    let nobody = || Error::forbidden("announcement.person", "announcements are addressed to people's accounts");
    tx.cx().account().ok_or_else(nobody)
}

/// Which of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InboxAsk {
    /// Only what was not read yet.
    pub unread: bool,
}

/// What is addressed to somebody.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Inbox {
    /// The newest first.
    pub items: Vec<Received>,
}

/// Shows what is addressed to whoever asks.
pub static INBOX: Action<InboxAsk, Inbox> = Action {
    name: "announcement.inbox",
    summary: "Shows what is addressed to whoever asks, and whether they have read it.",
    effect: Effect::Read,
    run: |tx, input| {
        let account = reader(tx)?;
        Ok(Inbox { items: store::inbox(tx, account, input.unread)? })
    },
};

/// Notes that it was read.
pub static READ: Action<AnnouncementRef, Inbox> = Action {
    name: "announcement.read",
    summary: "Notes that whoever asks has read an announcement.",
    effect: Effect::Change,
    run: |tx, input| {
        let (account, now) = (reader(tx)?, tx.now);
        if !store::mark(tx, input.id, account, now)? {
            let message = format!("there is no announcement {}", input.id);
            return Err(Error::not_found("announcement.not_found", message));
        }
        Ok(Inbox { items: store::inbox(tx, account, true)? })
    },
};
