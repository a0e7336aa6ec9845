use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::id::AccountId;
use base::limits;
use drivers::mail::{Letter, Mail};
use gate::Cx;

use super::{Errand, Postman, texts};
use crate::Secret;
use crate::invitations::actions::{ACCEPT, AcceptInvitation, INVITE, InviteAccount};
use crate::passwords::actions::{RESET, ResetPassword};
use crate::testing::{House, PASSWORD};

#[derive(Clone, Default)]
struct Letterbox(Arc<Mutex<Vec<Letter>>>);

impl Mail for Letterbox {
    fn send(&self, letter: &Letter) -> base::Result<()> {
        self.0.lock().unwrap().push(letter.clone());
        Ok(())
    }
}

impl Letterbox {
    fn postman(&self) -> Postman {
        Postman::new(Box::new(self.clone()), "https://cloud.example.com/")
    }
    fn last(&self) -> Letter {
        self.0.lock().unwrap().last().unwrap().clone()
    }
}

/// The token of the link in a letter.
fn token(letter: &Letter) -> Secret {
    let rest = letter.text.split("?token=").nth(1).unwrap();
    Secret::new(rest.split_whitespace().next().unwrap())
}

fn invite(house: &House, email: &str, name: &str, locale: &str) -> crate::invitations::Invitation {
    let owner = house.with_role("owner", house.first);
    let input = InviteAccount {
        tenant: None,
        email: email.to_owned(),
        name: name.to_owned(),
        locale: Some(locale.to_owned()),
        roles: vec!["member".to_owned()],
    };
    house.gate.run(&owner, &INVITE, input).unwrap()
}

#[test]
fn an_invitation_is_mailed_in_the_persons_language_and_its_link_works() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let mails = Letterbox::default();
        for (locale, subject) in [("zh-TW", "邀請您加入「tenant 2」"), ("en", "Invitation to join tenant 2")] {
            let email = format!("mei-{locale}@example.com").to_lowercase();
            let invitation = invite(&house, &email, "林美華", locale);
            let errand = Errand::Invitation { invitation: invitation.id };
            mails.postman().deliver(&house.gate, errand.clone()).unwrap();
            let first = mails.last();
            assert_eq!((first.to.as_str(), first.subject.as_str()), (email.as_str(), subject));
            assert!(first.text.contains("https://cloud.example.com/invitation?token=ywl_"));
            // Sent again after an uncertain result: both links work, until one is used.
            mails.postman().deliver(&house.gate, errand.clone()).unwrap();
            assert_ne!(mails.last().id, first.id);
            let input = AcceptInvitation { token: token(&first), name: None, password: Some(Secret::new(PASSWORD)) };
            ACCEPT.run(&house.gate, &Cx::nobody(house.operator), input).unwrap();
            // Answered by now: nothing more is sent.
            let sent = mails.0.lock().unwrap().len();
            mails.postman().deliver(&house.gate, errand.clone()).unwrap();
            assert_eq!(mails.0.lock().unwrap().len(), sent);
        }
    }
}

#[test]
fn the_secret_of_a_link_is_in_the_mail_and_nowhere_else() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let mails = Letterbox::default();
    let mei = house.person("mei@example.com", house.first, &["viewer"]);
    mails.postman().deliver(&house.gate, Errand::Reset { account: mei }).unwrap();
    let secret = token(&mails.last());
    let wanted = secret.reveal().to_owned();
    let found: i64 = house
        .gate
        .db()
        .read(move |c| {
            c.query_one("SELECT COUNT(*) FROM mail_links WHERE hash = $1 OR subject = $1", db::args![wanted], |r| {
                r.get(0)
            })
        })
        .unwrap();
    assert_eq!(found, 0);
    let input = ResetPassword { token: secret, password: Secret::new(PASSWORD) };
    RESET.run(&house.gate, &Cx::nobody(house.operator), input).unwrap();
}

/// A mailbox that takes nothing at first.
#[derive(Clone, Default)]
struct Down(Letterbox, Arc<Mutex<bool>>);

impl Mail for Down {
    fn send(&self, letter: &Letter) -> base::Result<()> {
        if std::mem::replace(&mut *self.1.lock().unwrap(), true) {
            return self.0.send(letter);
        }
        Err(base::Error::unavailable("mail.down", "nobody answers"))
    }
}

#[test]
fn links_that_are_asked_for_again_and_again_fill_no_mailbox() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let mei = house.person("mei@example.com", house.first, &["viewer"]);
        let mails = Down::default();
        let postman = Postman::new(Box::new(mails.clone()), "https://cloud.example.com/");
        let deliver = || postman.deliver(&house.gate, Errand::Reset { account: mei });
        let sent = || mails.0.0.lock().unwrap().len();
        assert!(deliver().is_err(), "{engine}");
        // What did not leave is sent when it is tried again; then there is a while without.
        for _ in 0..5 {
            deliver().unwrap();
            assert_eq!(sent(), 1, "{engine}");
        }
        house.gate.clock().advance(Duration::from_secs(limits::RESET_MAILED_EVERY_SECONDS.unsigned_abs()));
        deliver().unwrap();
        assert_eq!(sent(), 2, "{engine}");
        // Who has used one may have forgotten again.
        let input = ResetPassword { token: token(&mails.0.last()), password: Secret::new(PASSWORD) };
        RESET.run(&house.gate, &Cx::nobody(house.operator), input).unwrap();
        deliver().unwrap();
        assert_eq!(sent(), 3, "{engine}");
    }
}

#[test]
fn nothing_is_sent_to_somebody_who_is_not_there() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let mails = Letterbox::default();
    mails.postman().deliver(&house.gate, Errand::Reset { account: AccountId(404) }).unwrap();
    mails.postman().deliver(&house.gate, Errand::PasswordChanged { account: AccountId(404) }).unwrap();
    assert!(mails.0.lock().unwrap().is_empty());
}

#[test]
fn names_cannot_write_headers_or_html() {
    let name = "\"<script>alert(1)</script>\", evil@example.com";
    for locale in ["zh-TW", "en"] {
        for words in [
            texts::invitation(locale, name, name, "https://x/?token=a&b=\"", 7),
            texts::reset(locale, name, "https://x", 60),
            texts::password_changed(locale, name, "https://x"),
        ] {
            assert!(!words.html.contains("<script") && !words.html.contains("b=\"\""));
            assert!(!words.subject.contains(['\r', '\n']));
        }
    }
    // A name with a line break does not get as far as a mail.
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    for (name, email) in [
        ("Mei\r\nBcc: all@example.com", "mei@example.com"),
        ("Mei", "mei@example.com\r\nBcc: all@example.com"),
        ("Mei", "Mei <mei@example.com>"),
    ] {
        let input = InviteAccount {
            tenant: None,
            email: email.to_owned(),
            name: name.to_owned(),
            locale: None,
            roles: vec!["member".to_owned()],
        };
        assert_eq!(house.gate.run(&owner, &INVITE, input).unwrap_err().kind(), base::Kind::Invalid);
    }
}

#[test]
fn a_mail_with_a_hostile_name_leaves_the_house_as_one_mail_to_one_person() {
    let (_, db, keep) = db::testing::sqlite();
    let house = House::new(db);
    let folder = keep.path().join("outbox");
    let outbox = drivers::mail::open(&format!("file://{}", folder.display()), "Yunwei <no-reply@example.com>").unwrap();
    let invitation = invite(&house, "o'neil+x@example.com", "<b>, \"x\" evil@example.com; =?utf-8?q?=0d=0a?=", "en");
    Postman::new(outbox, "https://cloud.example.com")
        .deliver(&house.gate, Errand::Invitation { invitation: invitation.id })
        .unwrap();
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "eml"))
        .collect();
    assert_eq!(files.len(), 1);
    let mail = std::fs::read_to_string(&files[0]).unwrap();
    let headers = mail.split("\r\n\r\n").next().unwrap();
    let to: Vec<&str> = headers
        .lines()
        .filter(|l| {
            l.to_lowercase().starts_with("to:")
                || l.to_lowercase().starts_with("bcc:")
                || l.to_lowercase().starts_with("cc:")
        })
        .collect();
    assert_eq!(to, ["To: o'neil+x@example.com"]);
}
