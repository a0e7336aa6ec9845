//! The door: sign-in, invitation, forgotten and new password. Nobody is known
//! yet on these pages, so they say the same to those who have an account and
//! to those who have none.

use crate::page::Page;
use crate::ui::{Field, Summary};
use askama::Template;

/// Sign-in.
#[derive(Template)]
#[template(path = "door/sign_in.html")]
pub(crate) struct SignIn<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub email: Field,
    pub password: Field,
    /// Where to go afterwards; a path of ours.
    pub next: String,
}

/// Any other form of the door.
#[derive(Template)]
#[template(path = "door/form.html")]
pub(crate) struct DoorForm<'a> {
    pub p: &'a Page,
    pub title: String,
    pub body: String,
    pub summary: Summary,
    pub action: String,
    pub hidden: Vec<(&'static str, String)>,
    pub fields: Vec<Field>,
    pub button: &'static str,
}

/// Something to read, and where to go from here.
#[derive(Template)]
#[template(path = "door/message.html")]
pub(crate) struct DoorMessage<'a> {
    pub p: &'a Page,
    pub title: String,
    pub body: String,
    pub links: Vec<(String, &'static str)>,
}
