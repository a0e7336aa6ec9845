//! Places for copies, as an operator would run them: a repository server, and object storage.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::{Api, Binaries, Daemon, Installation, Outcome, free_port};

/// A repository server with credentials for each of its repositories.
pub struct Shelf {
    /// Where it keeps everything.
    pub folder: PathBuf,
    /// Its address.
    pub url: String,
    at: String,
    program: PathBuf,
    server: Option<Daemon>,
}

impl Shelf {
    /// A server with repositories of those names.
    ///
    /// # Errors
    /// Where it cannot be set up.
    pub fn start(folder: &Path, repositories: &[&str]) -> Outcome<Shelf> {
        let program = Binaries::find()?.folder.join("yunwei-repository");
        std::fs::create_dir_all(folder.join("data"))?;
        let at = format!("127.0.0.1:{}", free_port()?);
        let url = format!("http://{at}");
        let mut shelf = Shelf { folder: folder.to_owned(), url, at, program, server: None };
        for repository in repositories {
            for role in ROLES {
                shelf.admit(repository, role)?;
            }
        }
        shelf.serve()?;
        Ok(shelf)
    }

    /// Makes a credential, and keeps its secret.
    fn admit(&self, repository: &str, role: &str) -> Outcome<()> {
        let name = credential(repository, role);
        let mut command = Command::new(&self.program);
        command.args(["credential", "add", &name, "--repository", repository, "--role", role, "--data"]);
        let output = command.arg(self.folder.join("data")).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(std::fs::write(self.folder.join(name), output.stdout)?)
    }

    /// Serves what it holds.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn serve(&mut self) -> Outcome<()> {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--listen", &self.at, "--data"]).arg(self.folder.join("data"));
        self.server = Some(Daemon::start("yunwei-repository", command, &self.folder.join("log"))?);
        let until = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&self.at).is_err() {
            if Instant::now() > until {
                return Err("the repository server does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Is away.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self) -> Outcome<()> {
        self.server.take().map_or(Ok(()), Daemon::stop)
    }

    /// The file with the secret of a credential.
    pub fn secret_file(&self, repository: &str, role: &str) -> PathBuf {
        self.folder.join(credential(repository, role))
    }

    /// The secret of a credential.
    ///
    /// # Errors
    /// Where there is none.
    pub fn secret(&self, repository: &str, role: &str) -> Outcome<String> {
        Ok(std::fs::read_to_string(self.secret_file(repository, role))?.trim().to_owned())
    }

    /// A repository's address as restic wants it, with what lets one in.
    ///
    /// # Errors
    /// Where there is no such repository.
    pub fn for_restic(&self, repository: &str) -> Outcome<String> {
        let (name, secret) = (credential(repository, "append"), self.secret(repository, "append")?);
        Ok(format!("rest:http://{name}:{secret}@{}/{repository}/", self.at))
    }
}

/// What a credential of a place lets one do.
pub const ROLES: [&str; 2] = ["append", "maintain"];

/// The name of a credential.
pub fn credential(repository: &str, role: &str) -> String {
    format!("{role}-{repository}")
}

/// Object storage that speaks S3 (moto), with one bucket. It holds everything in memory.
pub struct Bucket {
    /// Its address.
    pub url: String,
    port: String,
    log: PathBuf,
    server: Option<Daemon>,
}

/// What moto takes for a signature: it looks at its form alone, and whose key it is only where it is told to.
const SIGNED: (&str, &str) = (
    "authorization",
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00",
);
/// Other types moto takes for a form.
const BYTES: (&str, &str) = ("content-type", "application/octet-stream");

impl Bucket {
    /// The bucket's name.
    pub const NAME: &str = "copies";

    /// A server with an empty bucket.
    ///
    /// # Errors
    /// Where it cannot be installed or does not answer.
    pub fn start(log: &Path) -> Outcome<Bucket> {
        let port = free_port()?.to_string();
        let url = format!("http://127.0.0.1:{port}");
        let mut bucket = Bucket { url, port, log: log.to_owned(), server: None };
        bucket.serve()?;
        bucket.make()?;
        Ok(bucket)
    }

    /// Serves anew, with nothing in it: whatever was there is gone, the bucket too.
    ///
    /// # Errors
    /// As [`Bucket::start`].
    pub fn serve(&mut self) -> Outcome<()> {
        self.stop()?;
        let mut command = Command::new(Binaries::find()?.checkout.join("tests/python"));
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &self.port]);
        let mut server = Daemon::start("object storage", command, &self.log)?;
        let until = Instant::now() + Duration::from_secs(180);
        while Api::new(&self.url, "").send("GET", "/moto-api/", &[], None).is_err() {
            server.expect_alive()?;
            if Instant::now() > until {
                return Err("the object storage does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.server = Some(server);
        Ok(())
    }

    /// Is away.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self) -> Outcome<()> {
        self.server.take().map_or(Ok(()), Daemon::kill)
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Outcome<String> {
        let headers = [&[SIGNED, BYTES][..], headers].concat();
        let answer = Api::new(&self.url, "").send(method, path, &headers, body)?;
        match answer.status {
            200..300 => Ok(answer.text),
            status => Err(format!("{method} {path} was answered {status}: {}", answer.text).into()),
        }
    }

    /// Makes the bucket.
    ///
    /// # Errors
    /// Where the storage refuses.
    pub fn make(&self) -> Outcome<()> {
        self.ask("PUT", &format!("/{}", Self::NAME), &[], Some(b"")).map(drop)
    }

    /// Lets nobody in any more, whatever their key; or everybody again.
    ///
    /// # Errors
    /// Where the storage does not know how.
    pub fn refuse(&self, everybody: bool) -> Outcome<()> {
        let after: &[u8] = if everybody { b"0" } else { b"inf" };
        self.ask("POST", "/moto-api/reset-auth", &[], Some(after)).map(drop)
    }

    /// The names of objects that begin so, with their sizes: a thousand at the most.
    ///
    /// # Errors
    /// Where the storage refuses.
    pub fn objects(&self, prefix: &str) -> Outcome<Vec<(String, u64)>> {
        let told = self.ask("GET", &format!("/{}?list-type=2&prefix={prefix}", Self::NAME), &[], None)?;
        let said = |entry: &str, name: &str| {
            let rest = entry.split_once(&format!("<{name}>"))?.1;
            Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
        };
        let entries = told.split("<Contents>").skip(1);
        Ok(entries.filter_map(|entry| Some((said(entry, "Key")?, said(entry, "Size")?.parse().ok()?))).collect())
    }

    fn copy(&self, from: &str, to: &str) -> Outcome<()> {
        let source = format!("/{}/{from}", Self::NAME);
        let headers = [("x-amz-copy-source", source.as_str())];
        self.ask("PUT", &format!("/{}/{to}", Self::NAME), &headers, Some(b"")).map(drop)
    }

    /// Loses an object.
    ///
    /// # Errors
    /// Where the storage refuses.
    pub fn lose(&self, name: &str) -> Outcome<()> {
        self.copy(name, &format!("aside/{name}"))?;
        self.ask("DELETE", &format!("/{}/{name}", Self::NAME), &[], None).map(drop)
    }

    /// Loses all of an object but its beginning.
    ///
    /// # Errors
    /// Where the storage refuses.
    pub fn cut(&self, name: &str) -> Outcome<()> {
        self.copy(name, &format!("aside/{name}"))?;
        self.ask("PUT", &format!("/{}/{name}", Self::NAME), &[], Some(b"short")).map(drop)
    }

    /// Puts an object back that was lost or cut.
    ///
    /// # Errors
    /// Where the storage refuses.
    pub fn mend(&self, name: &str) -> Outcome<()> {
        self.copy(&format!("aside/{name}"), name)
    }
}

impl Installation {
    /// Makes a place for copies on a repository server, and keeps what lets one in there for each
    /// repository: a tenant's id, or `control-plane`.
    ///
    /// # Errors
    /// Where the server refuses.
    pub fn place_at(&self, name: &str, shelf: &Shelf, repositories: &[&str]) -> Outcome<String> {
        let location = json!({ "type": "server", "url": shelf.url });
        let id = self.place(name, &location, "appendOnly")?;
        for repository in repositories {
            for role in ROLES {
                let whose = match *repository {
                    "control-plane" => json!({ "controlPlane": true }),
                    tenant => json!({ "tenant": tenant }),
                };
                self.let_in(&id, role, &credential(repository, role), &shelf.secret(repository, role)?, whose)?;
            }
        }
        Ok(id)
    }

    /// Makes a place for copies in a bucket.
    ///
    /// # Errors
    /// Where the server refuses.
    pub fn place_in(&self, name: &str, bucket: &Bucket) -> Outcome<String> {
        let location = json!({
            "type": "bucket", "endpoint": bucket.url, "bucket": Bucket::NAME, "region": "us-east-1",
        });
        let id = self.place(name, &location, "none")?;
        for role in ROLES {
            self.let_in(&id, role, "key", "secret", json!({}))?;
        }
        Ok(id)
    }

    /// Makes a place for copies.
    ///
    /// # Errors
    /// Where the server refuses.
    pub fn place(&self, name: &str, location: &Json, immutability: &str) -> Outcome<String> {
        let site = if location["type"] == "folder" { Json::Null } else { json!("elsewhere") };
        let asked = json!({ "name": name, "location": location, "site": site, "immutability": immutability });
        let made = self.api.post("/api/v1/backup-places", &asked)?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }

    fn let_in(&self, place: &str, role: &str, name: &str, secret: &str, whose: Json) -> Outcome<()> {
        let mut asked = whose;
        (asked["role"], asked["name"], asked["secret"]) = (role.into(), name.into(), secret.into());
        self.api.post(&format!("/api/v1/backup-places/{place}/credential"), &asked).map(drop)
    }

    /// Makes a policy that copies to these places.
    ///
    /// # Errors
    /// Where the server refuses.
    pub fn backup_policy(&self, name: &str, calendar: &str, places: &[String]) -> Outcome<String> {
        self.policy(name, calendar, places, false)
    }

    /// Makes a policy that customers may choose: every host must reach its places.
    ///
    /// # Errors
    /// Where the server refuses.
    pub fn offered_policy(&self, name: &str, calendar: &str, places: &[String]) -> Outcome<String> {
        self.policy(name, calendar, places, true)
    }

    fn policy(&self, name: &str, calendar: &str, places: &[String], offered: bool) -> Outcome<String> {
        let asked = json!({
            "name": name, "places": places, "pruneDelayHours": 72, "offered": offered,
            "schedule": { "calendar": calendar, "timeZone": "Asia/Taipei" },
            "retention": { "last": 3, "daily": 7 },
        });
        let made = self.api.post("/api/v1/backup-policies", &asked)?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }
}

/// Waits until a recovery point, of a service or of the platform, is no longer being taken.
///
/// # Errors
/// Where it did not come about in every place.
pub fn settled(api: &Api, path: &str) -> Outcome<Json> {
    let until = Instant::now() + Duration::from_secs(300);
    loop {
        let point = api.get(path)?;
        match point["state"].as_str() {
            Some("available") => return Ok(point),
            Some("taking") if Instant::now() < until => std::thread::sleep(Duration::from_millis(100)),
            _ => return Err(format!("the recovery point did not come about in every place: {point:#}").into()),
        }
    }
}
