//! What is backed up besides disks: files of a host, and databases that it reaches.
//!
//! **Invariants.**
//! - A source names paths, servers and users; never a password. That comes with the access of an
//!   open task, and goes to programs by their environment or a file of their own.
//! - What a restore makes is new: a directory of its own, a database of a name that was free.

use base::time::Timestamp;
use base::{Error, Result, limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a data set is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DataSource {
    /// Files and directories of the host.
    Files {
        /// Where they are: whole paths.
        paths: Vec<String>,
        /// Patterns of what is left out, as in a `.gitignore`.
        #[serde(default)]
        except: Vec<String>,
    },
    /// A PostgreSQL server.
    Postgresql {
        /// Where it is.
        server: DatabaseServer,
        /// Which databases; none named: all of them.
        #[serde(default)]
        databases: Vec<String>,
        /// Keep the whole server with its logs, so that it can be brought back to any instant,
        /// instead of dumping databases.
        #[serde(default)]
        logs: bool,
    },
    /// A MariaDB or MySQL server.
    Mysql {
        /// Where it is.
        server: DatabaseServer,
        /// Which databases; none named: all but the server's own.
        #[serde(default)]
        databases: Vec<String>,
    },
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Where a database server is reached from the host, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseServer {
    /// A socket of the host: PostgreSQL's directory of sockets, or MariaDB's socket itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// A host's name or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its port; the program's usual one unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The user to be there.
    pub user: String,
}

impl DatabaseServer {
    fn check(&self) -> Result<()> {
        let one = self.socket.is_some() != self.host.is_some();
        if !one {
            let message = "a database server is reached by a socket or by a host, one of the two";
            return Err(Error::invalid("dataSet.server", message).at("source"));
        }
        if let Some(socket) = &self.socket {
            path(socket)?;
        }
        let host = self.host.as_deref().unwrap_or("localhost");
        let fits = |text: &str| plain(text) && !text.starts_with('-') && !text.contains([' ', ',', '/', '=']);
        if !fits(host) || !plain(&self.user) || self.port == Some(0) {
            let message = "a database server has a host, a port and a user, without control characters";
            return Err(Error::invalid("dataSet.server", message).at("source"));
        }
        Ok(())
    }
}

/// Roots that hold no files of anybody's: the kernel's, and everything at once.
const NO_DATA: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/"];

/// Longest name of a path, a pattern, a user or a database, in bytes.
const NAME_BYTES_MAX: usize = 1_024;

fn plain(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A whole path without detours.
fn path(text: &str) -> Result<()> {
    let straight = text.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..");
    if text.starts_with('/') && straight && plain(text) {
        return Ok(());
    }
    let message = format!("{text:?} is no whole path; it begins with / and has no . or .. in it");
    Err(Error::invalid("dataSet.path", message).at("source"))
}

fn databases(names: &[String]) -> Result<()> {
    if names.len() > limits::DATA_SET_NAMES_MAX || !names.iter().all(|name| plain(name)) {
        let message = format!("at most {} databases are named, each in a line", limits::DATA_SET_NAMES_MAX);
        return Err(Error::invalid("dataSet.databases", message).at("source"));
    }
    Ok(())
}

impl DataSource {
    /// Whether this can be asked of an agent.
    ///
    /// # Errors
    /// `Invalid` (`dataSet.…`) naming what is wrong.
    pub fn check(&self) -> Result<()> {
        match self {
            DataSource::Files { paths, except } => {
                let most = limits::DATA_SET_NAMES_MAX;
                if paths.is_empty() || paths.len() > most || except.len() > most {
                    let message = format!("from 1 to {most} paths are named, and at most {most} patterns left out");
                    return Err(Error::invalid("dataSet.paths", message).at("source"));
                }
                for one in paths {
                    let inside = |root: &&str| one == root || (*root != "/" && one.starts_with(&format!("{root}/")));
                    if let Some(root) = NO_DATA.iter().find(|root| inside(root)) {
                        let message = format!("{root} cannot be backed up as files; name the directories that matter");
                        return Err(Error::invalid("dataSet.path", message).at("source"));
                    }
                    path(one)?;
                }
                match except.iter().all(|pattern| plain(pattern) && !pattern.starts_with('!')) {
                    true => Ok(()),
                    false => {
                        Err(Error::invalid("dataSet.except", "a pattern is a line, and does not begin with !")
                            .at("source"))
                    }
                }
            }
            DataSource::Postgresql { server, databases: names, logs } => {
                server.check()?;
                if *logs && !names.is_empty() {
                    let message = "with its logs a server is kept as a whole: name no databases";
                    return Err(Error::invalid("dataSet.databases", message).at("source"));
                }
                databases(names)
            }
            DataSource::Mysql { server, databases: names } => {
                server.check()?;
                databases(names)
            }
            DataSource::Unknown => Err(Error::invalid("dataSet.source", "there is no such kind of data").at("source")),
        }
    }

    /// The word for its kind.
    pub fn word(&self) -> &'static str {
        match self {
            DataSource::Files { .. } => "files",
            DataSource::Postgresql { .. } => "postgresql",
            DataSource::Mysql { .. } => "mysql",
            DataSource::Unknown => "unknown",
        }
    }

    /// The server, where it is a database.
    pub fn server(&self) -> Option<&DatabaseServer> {
        match self {
            DataSource::Postgresql { server, .. } | DataSource::Mysql { server, .. } => Some(server),
            DataSource::Files { .. } | DataSource::Unknown => None,
        }
    }

    /// Whether the server's logs are kept.
    pub fn keeps_logs(&self) -> bool {
        matches!(self, DataSource::Postgresql { logs: true, .. })
    }
}

/// What was taken of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataTaken {
    /// Files that were looked at.
    pub files: u64,
    /// What could not be read, the first of it.
    pub unread: Vec<String>,
    /// How much could not be read.
    pub unread_count: u64,
    /// The databases, by name.
    pub databases: Vec<String>,
    /// What is not of the same instant as the rest, such as tables without transactions.
    pub loose: Vec<String>,
    /// With its logs: from when to when any instant can be brought back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<LogSpan>,
}

/// Instants that a database can be brought back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogSpan {
    /// From when on: the base backup's.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// Until when: what was written by then is in the logs.
    #[schemars(with = "String")]
    pub until: Timestamp,
}

/// Where a data set is brought back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DataTarget {
    /// A directory of its own, made for this restore.
    Directory {
        /// Below which directory; the agent's own unless said otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        below: Option<String>,
        /// Only this path of the snapshot; empty: everything.
        #[serde(default)]
        only: String,
    },
    /// A new database of the server that it was taken from.
    Database {
        /// Which of those that were saved.
        database: String,
        /// The new one's name.
        name: String,
    },
    /// A PostgreSQL data directory as of an instant, proven by starting it.
    Instant {
        /// Below which directory; the agent's own unless said otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        below: Option<String>,
        /// As of when; the newest that there is unless said otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        at: Option<Timestamp>,
        /// The snapshot whose logs lead there, where that is another one than the base's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logs: Option<String>,
    },
}

impl DataTarget {
    /// Whether this can be asked of an agent.
    ///
    /// # Errors
    /// `Invalid` naming what is wrong.
    pub fn check(&self) -> Result<()> {
        match self {
            DataTarget::Directory { below, .. } | DataTarget::Instant { below, .. } => {
                below.as_deref().map_or(Ok(()), path).map_err(|e| e.at("below"))
            }
            DataTarget::Database { database, name } => {
                let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
                if !begins || name.len() > 63 || !name.bytes().all(letters) {
                    let message = "a new database's name is 1 to 63 of a-z, 0-9 and _, and begins with no digit";
                    return Err(Error::invalid("dataRestore.name", message).at("name"));
                }
                if !plain(database) {
                    return Err(Error::invalid("dataRestore.database", "say which database").at("database"));
                }
                Ok(())
            }
        }
    }
}

/// What came of bringing a data set back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataRestored {
    /// Where it is: a directory, or a database's name.
    pub at: String,
    /// Files that came back.
    pub files: u64,
    /// Bytes that came back.
    pub bytes: u64,
    /// SHA-256 over every path and its contents' hashes, hashed where it came to.
    pub digest: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How long looking at it took: hashing, or starting the database.
    pub verify_seconds: f64,
    /// Tables that the new database has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// Of a database brought back to an instant: when its newest transaction was committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub newest: Option<Timestamp>,
    /// What could not be set: owners, times. The contents are whole.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn files(paths: &[&str], except: &[&str]) -> DataSource {
        let all = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        DataSource::Files { paths: all(paths), except: all(except) }
    }

    fn server(host: Option<&str>, socket: Option<&str>, user: &str) -> DatabaseServer {
        let own = |text: Option<&str>| text.map(str::to_owned);
        DatabaseServer { socket: own(socket), host: own(host), port: None, user: user.into() }
    }

    #[test]
    fn paths_are_whole_and_lead_to_files() {
        files(&["/srv/www", "/etc/nginx/nginx.conf", "/runs"], &["*.log"]).check().unwrap();
        let long = format!("/{}", "a".repeat(2_000));
        for bad in
            ["", "srv", "/", "/proc", "/proc/1/mem", "/dev/sda", "/srv/../etc", "/srv//x", "/a\nb", "/srv/", &long]
        {
            assert_eq!(files(&[bad], &[]).check().unwrap_err().code(), "dataSet.path", "{bad:?}");
        }
        assert_eq!(files(&[], &[]).check().unwrap_err().code(), "dataSet.paths");
        assert_eq!(files(&["/a"; 65], &[]).check().unwrap_err().code(), "dataSet.paths");
        assert_eq!(files(&["/srv"], &["!/srv/secret"]).check().unwrap_err().code(), "dataSet.except");
    }

    #[test]
    fn a_server_is_reached_in_one_way_and_its_name_is_no_option() {
        let check = |server| DataSource::Postgresql { server, databases: vec![], logs: false }.check();
        check(server(Some("db.example.com"), None, "backup")).unwrap();
        check(server(None, Some("/var/run/postgresql"), "backup")).unwrap();
        for bad in [
            server(None, None, "u"),
            server(Some("a"), Some("/s"), "u"),
            server(Some("--host"), None, "u"),
            server(Some("a dbname=x"), None, "u"),
            server(Some("a,b"), None, "u"),
            server(Some("a"), None, ""),
            server(Some("a"), None, "u\n"),
        ] {
            assert_eq!(check(bad.clone()).unwrap_err().code(), "dataSet.server", "{bad:?}");
        }
        let named =
            DataSource::Postgresql { server: server(Some("a"), None, "u"), databases: vec!["shop".into()], logs: true };
        assert_eq!(named.check().unwrap_err().code(), "dataSet.databases");
    }

    #[test]
    fn a_new_database_has_a_plain_name() {
        let check = |name: &str| DataTarget::Database { database: "shop".into(), name: name.into() }.check();
        check("shop_restored_2026").unwrap();
        for bad in ["", "Shop", "1shop", "a b", "a;drop", "-d", "a=b", &"a".repeat(64)] {
            assert_eq!(check(bad).unwrap_err().code(), "dataRestore.name", "{bad:?}");
        }
    }

    #[test]
    fn a_kind_of_another_age_is_tolerated_and_not_asked_for() {
        let known: DataSource = serde_json::from_value(json!({ "type": "oracle", "sid": "x" })).unwrap();
        assert_eq!(known, DataSource::Unknown);
        assert_eq!(known.check().unwrap_err().code(), "dataSet.source");
    }
}
