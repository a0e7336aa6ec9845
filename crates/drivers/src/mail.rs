//! Mail: a message goes out by SMTP, or into a directory.
//!
//! **What.** [`Mail`] has two implementations. [`Smtp`] hands messages to a mail server. [`Outbox`]
//! writes each to a file of its own, which is how a one-machine trial gets its invitations without a
//! mail server. [`open`] chooses by URL.
//!
//! **Invariants.** A message's id is its `Message-ID`, so a message that is sent again after an
//! uncertain result can be recognised by whoever receives both. A file in the outbox is whole or not
//! there, and only its owner can read it: invitations are secrets.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Error, Result, limits};
use lettre::message::{Mailbox, MultiPart, SinglePart, header::ContentType};
use lettre::transport::smtp::SmtpTransport;
use lettre::{Message, Transport as _};

/// How long one conversation with a mail server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One message to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Names the message: `[A-Za-z0-9_-]{1,64}`. The same message has the same id however often it is sent.
    pub id: String,
    /// The receiver, `Name <name@example.org>` or just the address.
    pub to: String,
    /// The subject, one line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
}

/// Something that takes messages.
pub trait Mail: Send + Sync + 'static {
    /// Hands a message over.
    ///
    /// # Errors
    /// `Invalid`: it can never be sent like this, or the mail server refused it for good.
    /// `Unavailable`: not taken, try later. `Uncertain`: it may have been taken.
    fn send(&self, letter: &Letter) -> Result<()>;
}

/// Opens the way out that `url` names, with `from` as the sender of everything.
///
/// | URL | way |
/// |---|---|
/// | `file:///var/lib/yunwei/outbox` | files in that directory |
/// | `smtps://user:password@host` | TLS from the first byte, port 465 |
/// | `smtp://user:password@host` | STARTTLS, required, port 587; not on loopback |
/// | `smtp://host:25?tls=none` | without encryption |
///
/// # Errors
/// `Invalid` where the URL or the sender cannot be understood.
pub fn open(url: &str, from: &str) -> Result<Box<dyn Mail>> {
    let from: Mailbox = from
        .parse()
        .map_err(|e| Error::invalid("mail.sender_malformed", format!("`{from}` is not a mail address")).because(e))?;
    if let Some(path) = url.strip_prefix("file://") {
        return Ok(Box::new(Outbox::new(Path::new(path), from)?));
    }
    Ok(Box::new(Smtp::new(url, from)?))
}

/// A directory with one `.eml` file for each message.
pub struct Outbox {
    dir: PathBuf,
    from: Mailbox,
}

impl Outbox {
    /// Uses `dir`, making it if needed.
    ///
    /// # Errors
    /// `Invalid` where it is not an absolute path or cannot be made.
    pub fn new(dir: &Path, from: Mailbox) -> Result<Self> {
        if !dir.is_absolute() {
            return Err(Error::invalid("mail.outbox_relative", "the outbox needs an absolute path: file:///…"));
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| {
            Error::invalid("mail.outbox_unusable", format!("cannot make the outbox {}: {e}", dir.display())).because(e)
        })?;
        Ok(Self { dir: dir.to_owned(), from })
    }
}

impl Mail for Outbox {
    fn send(&self, letter: &Letter) -> Result<()> {
        let message = compose(letter, &self.from)?;
        let path = self.dir.join(format!("{}.eml", letter.id));
        let draft = self.dir.join(format!(".{}.draft", letter.id));
        let write = || -> std::io::Result<()> {
            let _ = fs::remove_file(&draft);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(&message.formatted())?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            fs::File::open(&self.dir)?.sync_all()
        };
        write().map_err(|e| {
            let _ = fs::remove_file(&draft);
            Error::unavailable("mail.outbox_failed", format!("cannot write to the outbox: {e}")).because(e)
        })
    }
}

/// A mail server.
pub struct Smtp {
    transport: SmtpTransport,
    from: Mailbox,
}

impl Smtp {
    /// Uses the server that `url` names; nothing is sent yet.
    ///
    /// # Errors
    /// `Invalid` where the URL cannot be understood.
    pub fn new(url: &str, from: Mailbox) -> Result<Self> {
        // The URL may carry a password: no message repeats it.
        let malformed =
            || Error::invalid("mail.url_malformed", "the mail URL must be smtp://…, smtps://… or file:///…");
        let plain = url.starts_with("smtp://");
        if !plain && !url.starts_with("smtps://") {
            return Err(malformed());
        }
        let secured = if plain && !url.contains("tls=") && !names_loopback(url) {
            format!("{url}{}tls=required", if url.contains('?') { '&' } else { '?' })
        } else {
            url.replace("?tls=none", "").replace("&tls=none", "")
        };
        let builder = SmtpTransport::from_url(&secured).map_err(|e| malformed().because(e))?;
        Ok(Self { transport: builder.timeout(Some(PATIENCE)).build(), from })
    }
}

impl Mail for Smtp {
    fn send(&self, letter: &Letter) -> Result<()> {
        let message = compose(letter, &self.from)?;
        self.transport.send(&message).map(drop).map_err(|e| {
            if e.is_permanent() {
                Error::invalid("mail.refused", format!("the mail server refused the message: {e}"))
            } else if e.is_timeout() {
                Error::uncertain("mail.timed_out", "the mail server did not answer in time")
            } else {
                Error::unavailable("mail.unavailable", format!("the mail server cannot take the message: {e}"))
            }
        })
    }
}

fn names_loopback(url: &str) -> bool {
    let authority = url.split("//").nth(1).and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|name| host.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
}

fn compose(letter: &Letter, from: &Mailbox) -> Result<Message> {
    let named = letter.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !named || letter.id.is_empty() || letter.id.len() > 64 {
        return Err(Error::invalid("mail.id_malformed", "a message's id is 1 to 64 letters, digits, _ and -"));
    }
    if letter.subject.chars().any(char::is_control) || letter.subject.len() > limits::TEXT_INDEXED_MAX {
        return Err(Error::invalid("mail.subject_malformed", "a subject is one line of moderate length"));
    }
    let to: Mailbox = letter
        .to
        .parse()
        .map_err(|e| Error::invalid("mail.receiver_malformed", "that is not a mail address").because(e))?;
    let builder = Message::builder()
        .message_id(Some(format!("<{}@{}>", letter.id, from.email.domain())))
        .from(from.clone())
        .to(to)
        .subject(letter.subject.clone());
    let text = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(letter.text.clone());
    let message = match &letter.html {
        Some(html) => {
            let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(html.clone());
            builder.multipart(MultiPart::alternative().singlepart(text).singlepart(html))
        }
        None => builder.singlepart(text),
    };
    message.map_err(|e| Error::invalid("mail.malformed", "the message cannot be written").because(e))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn letter() -> Letter {
        Letter {
            id: "inv_1".into(),
            to: "王小明 <ming@example.org>".into(),
            subject: "邀請 / Invitation".into(),
            text: "Welcome.\n.\nA line that is only a dot ends nothing.\n".into(),
            html: Some("<p>Welcome</p>".into()),
        }
    }

    #[test]
    fn the_outbox_keeps_whole_private_files_and_no_duplicates() {
        let dir = std::env::temp_dir().join(format!("yw-outbox-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let mail = open(&format!("file://{}", dir.display()), "Yunwei <no-reply@example.org>").unwrap();
        mail.send(&letter()).unwrap();
        mail.send(&letter()).unwrap();
        let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files, [dir.join("inv_1.eml")]);
        assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&files[0]).unwrap();
        assert!(text.contains("Message-ID: <inv_1@example.org>"), "{text}");
        assert!(text.contains("<ming@example.org>"), "{text}");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_letter_cannot_smuggle_headers_or_leave_its_directory() {
        let from: Mailbox = "a@example.org".parse().unwrap();
        for bad in [
            Letter { subject: "x\r\nBcc: all@example.org".into(), ..letter() },
            Letter { id: "../x".into(), ..letter() },
            Letter { to: "a@example.org\r\nBcc: b@example.org".into(), ..letter() },
            Letter { to: "nobody".into(), ..letter() },
        ] {
            assert_eq!(compose(&bad, &from).unwrap_err().kind(), base::error::Kind::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn a_mail_server_gets_the_message() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut out = stream.try_clone().unwrap();
            let mut heard = String::new();
            out.write_all(b"220 test\r\n").unwrap();
            let mut in_data = false;
            for line in BufReader::new(stream).lines() {
                let line = line.unwrap();
                heard.push_str(&line);
                heard.push('\n');
                match (in_data, line.split(' ').next().unwrap_or_default()) {
                    (true, ".") => {
                        out.write_all(b"250 taken\r\n").unwrap();
                        break;
                    }
                    (true, _) => {}
                    (false, "DATA") => {
                        in_data = true;
                        out.write_all(b"354 go on\r\n").unwrap();
                    }
                    (false, _) => out.write_all(b"250 ok\r\n").unwrap(),
                }
            }
            heard
        });
        let mail = open(&format!("smtp://127.0.0.1:{port}"), "no-reply@example.org").unwrap();
        mail.send(&letter()).unwrap();
        let heard = server.join().unwrap();
        assert!(heard.contains("RCPT TO:<ming@example.org>"), "{heard}");
        assert!(heard.contains("inv_1@example.org"), "{heard}");
    }

    #[test]
    fn a_mail_server_that_is_away_is_worth_another_try() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mail = open(&format!("smtp://127.0.0.1:{port}"), "no-reply@example.org").unwrap();
        assert!(mail.send(&letter()).unwrap_err().kind().is_transient());
    }

    #[test]
    fn a_bad_url_is_refused_without_repeating_its_password() {
        for url in ["http://user:hunter2@host", "user:hunter2@host", "smtp//hunter2"] {
            let error = open(url, "a@example.org").err().unwrap();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(names_loopback("smtp://localhost:25") && !names_loopback("smtp://localhost.example.org"));
    }
}
