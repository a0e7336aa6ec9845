//! Members, activity, API tokens and sessions.

use crate::page::Page;
use crate::ui::{Confirm, Crumbs, Field, Pager, Summary};
use askama::Template;
use base::time::Timestamp;

/// A person of the tenant.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub id: String,
    pub initial: String,
    pub name: String,
    pub email: String,
    pub role: String,
    pub last: Option<Timestamp>,
    pub me: bool,
}

/// An invitation not yet accepted.
#[derive(Clone, Debug)]
pub(crate) struct Invitation {
    pub id: String,
    pub email: String,
    pub role: String,
    pub expires: Timestamp,
}

/// Who may do what in the organisation.
#[derive(Template)]
#[template(path = "account/members.html")]
pub(crate) struct Members<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub members: Vec<Member>,
    pub invitations: Vec<Invitation>,
    pub may_manage: bool,
    pub invite: Vec<Field>,
    /// (name, email) of the operator's staff who can see this tenant; `None`
    /// where the question does not arise.
    pub staff: Option<Vec<(String, String)>>,
}

/// A form on a page of its own.
#[derive(Template)]
#[template(path = "account/form.html")]
pub(crate) struct FormPage<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub title: String,
    pub lead: String,
    pub summary: Summary,
    pub action: String,
    pub fields: Vec<Field>,
    pub button: String,
    pub back: String,
}

/// A question on a page of its own, where no script opens the dialog.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub confirm: Confirm,
}

/// One entry of the audit log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub at: Timestamp,
    pub who: String,
    pub tenant: String,
    pub action: String,
    pub action_words: String,
    pub object: String,
    pub object_href: Option<String>,
    pub result: String,
    pub code: String,
    pub reason: String,
}

/// What was done in the organisation.
#[derive(Template)]
#[template(path = "account/activity.html")]
pub(crate) struct Activity<'a> {
    pub p: &'a Page,
    pub entries: Vec<Entry>,
    pub pager: Pager,
}

/// A key for programs.
#[derive(Clone, Debug)]
pub(crate) struct TokenRow {
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    pub last_used: Option<Timestamp>,
    pub expires: Option<Timestamp>,
}

/// Keys for programs.
#[derive(Template)]
#[template(path = "account/tokens.html")]
pub(crate) struct Tokens<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    /// The token just made, shown this once.
    pub secret: Option<String>,
    pub tokens: Vec<TokenRow>,
    pub fields: Vec<Field>,
}

/// A device that is signed in.
#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    pub id: String,
    pub device: String,
    pub address: String,
    pub started: Timestamp,
    pub last: Timestamp,
    pub this: bool,
}

/// Where the account is signed in.
#[derive(Template)]
#[template(path = "account/sessions.html")]
pub(crate) struct Sessions<'a> {
    pub p: &'a Page,
    pub sessions: Vec<SessionRow>,
}
