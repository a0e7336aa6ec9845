//! Places: where copies lie. The operator's.

use std::path::Path;

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use gate::keys::For;
use gate::{Action, Effect, Tx};
use resources::{SiteId, hosts, places};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{keys, repositories};
use crate::BackupPlaceId;
use crate::control_plane::REPOSITORY;

/// The site of a place that is at none of ours.
pub const ELSEWHERE: &str = "elsewhere";

/// Where copies lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Location {
    /// A directory of a host: for the machines that stand there.
    Folder {
        /// The host.
        host: HostId,
        /// The directory, from its root.
        path: String,
    },
    /// A server that speaks restic's REST protocol, such as `yunwei-repository`.
    Server {
        /// Its address: `https://backup.example.com:8430`.
        url: String,
        /// The authority that its certificate must come from (PEM); none: one that browsers trust.
        #[serde(default)]
        authority: Option<String>,
    },
    /// S3-compatible object storage.
    Bucket {
        /// Its address: `https://s3.example.com`.
        endpoint: String,
        /// The bucket, which must be there.
        bucket: String,
        /// Where in it; nothing: at its root.
        #[serde(default)]
        prefix: String,
        /// The region, in the provider's words.
        region: String,
        /// Whether the bucket is a part of the host's name, as AWS wants it.
        #[serde(default)]
        virtual_hosted: bool,
        /// As for a server.
        #[serde(default)]
        authority: Option<String>,
    },
}

impl Location {
    /// What it shares its fate with, where it is on no host of ours.
    fn medium(&self) -> String {
        match self {
            Location::Folder { host, .. } => medium_of(*host),
            Location::Server { url, .. } => format!("server:{}", origin(url)),
            Location::Bucket { endpoint, .. } => format!("bucket:{}", origin(endpoint)),
        }
    }

    /// The host that alone reaches it.
    pub fn host(&self) -> Option<HostId> {
        match self {
            Location::Folder { host, .. } => Some(*host),
            Location::Server { .. } | Location::Bucket { .. } => None,
        }
    }

    fn check(&self) -> Result<()> {
        let wrong = |code: &'static str, attribute: &str, message: &str| {
            Err(Error::invalid(code, message).at(format!("location.{attribute}")))
        };
        let secure = |url: &str| {
            let (scheme, rest) = url.split_once("://").unwrap_or_default();
            let plain = !rest.is_empty() && !url.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@');
            let here = rest.starts_with("127.0.0.1") || rest.starts_with("[::1]") || rest.starts_with("localhost");
            plain && (scheme == "https" || (scheme == "http" && here))
        };
        match self {
            Location::Folder { path, .. } => {
                let whole = Path::new(path);
                let up = whole.components().any(|part| part.as_os_str() == "..");
                if !whole.is_absolute() || up || path.len() > 1_000 || path.chars().any(char::is_control) {
                    return wrong("place.path", "path", "the directory is named from its root, without `..`");
                }
            }
            Location::Server { url, .. } if !secure(url) => {
                return wrong("place.address", "url", "the address begins with https://, and holds no credential");
            }
            Location::Bucket { endpoint, .. } if !secure(endpoint) => {
                return wrong("place.address", "endpoint", "the address begins with https://, and holds no credential");
            }
            Location::Bucket { bucket, prefix, .. } if bucket.is_empty() || prefix.contains("..") => {
                return wrong("place.bucket", "bucket", "a bucket has a name, and a prefix no `..`");
            }
            Location::Server { .. } | Location::Bucket { .. } => {}
        }
        Ok(())
    }
}

/// The host as a medium.
pub fn medium_of(host: HostId) -> String {
    format!("host:{host}")
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

/// What keeps copies there from being changed by whoever wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Immutability {
    /// Nothing.
    None,
    /// The server lets writers add and not remove.
    AppendOnly,
    /// The storage keeps each object until its time has come.
    ObjectLock,
}

impl Immutability {
    const ALL: [Immutability; 3] = [Immutability::None, Immutability::AppendOnly, Immutability::ObjectLock];

    fn word(self) -> &'static str {
        match self {
            Immutability::None => "none",
            Immutability::AppendOnly => "appendOnly",
            Immutability::ObjectLock => "objectLock",
        }
    }
}

/// A place for copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupPlace {
    /// Its id.
    pub id: BackupPlaceId,
    /// Its name.
    pub name: String,
    /// Where copies lie.
    pub location: Location,
    /// The site that it stands at, or `elsewhere`.
    pub site: String,
    /// The host of ours that it stands on and is lost with: a directory's own, or the one that the
    /// server runs on.
    pub host: Option<HostId>,
    /// What keeps copies there from being changed.
    pub immutability: Immutability,
    /// Counts its changes.
    pub revision: i64,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    #[serde(skip)]
    pub(crate) tenant: TenantId,
}

impl BackupPlace {
    /// What it shares its fate with.
    pub fn medium(&self) -> String {
        self.host.map_or_else(|| self.location.medium(), medium_of)
    }
}

const SELECT: &str =
    "SELECT id, name, location, site, immutability, revision, created_at, tenant, host FROM backup_places";

fn read(row: &Row) -> Result<BackupPlace> {
    let damaged = || Error::bug("place.damaged", "a stored place for copies does not read");
    let (location, immutability): (String, String) = (row.get(2)?, row.get(4)?);
    Ok(BackupPlace {
        id: row.get(0)?,
        name: row.get(1)?,
        location: serde_json::from_str(&location).map_err(|e| damaged().because(e))?,
        site: row.get(3)?,
        immutability: Immutability::ALL.into_iter().find(|one| one.word() == immutability).ok_or_else(damaged)?,
        revision: row.get(5)?,
        created_at: row.get(6)?,
        tenant: row.get(7)?,
        host: row.get(8)?,
    })
}

/// The place of that id.
///
/// # Errors
/// `NotFound`.
pub fn load(conn: &mut Conn<'_>, id: BackupPlaceId) -> Result<BackupPlace> {
    let found = conn.query_opt(&format!("{SELECT} WHERE id = $1"), args![id], read)?;
    found.ok_or_else(|| Error::not_found("backupPlace.not_found", format!("there is no place for copies {id}")))
}

/// Why what lies at a place cannot be counted on now: the host that it is lost with is gone, or silent.
pub(crate) fn out_of_reach(conn: &mut Conn<'_>, place: &BackupPlace) -> Result<Option<&'static str>> {
    let Some(host) = place.location.host().or(place.host) else { return Ok(None) };
    let known = hosts::load(conn, host)?;
    Ok(match known.state {
        hosts::State::Retired => Some("is lost with a host that was retired"),
        _ if !known.reachable => Some("is lost with its host while that is not heard of"),
        _ => None,
    })
}

pub(super) fn granted(tx: &mut Tx<'_>, action: &str, id: BackupPlaceId) -> Result<BackupPlace> {
    let found = load(tx, id)?;
    let tenant = found.tenant;
    tx.grant(action, "backupPlace", &id.to_string(), tenant, Class::Internal, found).map(gate::Granted::into_inner)
}

pub(crate) fn name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        let message = "a name has from 1 to 200 characters, none of them control characters";
        return Err(Error::invalid("name.malformed", message).at("name"));
    }
    Ok(())
}

pub(crate) fn taken(code: &'static str, name: &str) -> impl FnOnce(Error) -> Error {
    let message = format!("there is one called {name} already");
    move |e| if e.code() == "db.duplicate" { Error::conflict(code, message).at("name") } else { e }
}

/// A place to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPlace {
    /// Its name.
    pub name: String,
    /// Where copies lie.
    pub location: Location,
    /// The site that it stands at, or `elsewhere`. What stands on a host of ours stands where that does.
    #[serde(default)]
    pub site: Option<String>,
    /// The host of ours that the server or the storage runs on, where there is one: what is lost with
    /// that host cannot bring its machines back. A directory names its host itself.
    #[serde(default)]
    pub host: Option<HostId>,
    /// What keeps copies there from being changed; nothing unless said otherwise.
    #[serde(default)]
    pub immutability: Option<Immutability>,
}

/// The host that a place stands on.
fn stands_on(location: &Location, named: Option<HostId>) -> Result<Option<HostId>> {
    match (location.host(), named) {
        (Some(own), Some(other)) if own != other => {
            Err(Error::invalid("place.host", "a directory stands on the host that it is of").at("host"))
        }
        (own, named) => Ok(own.or(named)),
    }
}

/// The site that a place stands at: its host's, or the one that was named.
fn site(tx: &mut Tx<'_>, host: Option<HostId>, named: Option<&str>) -> Result<String> {
    if let Some(host) = host {
        let host = hosts::load(tx, host)
            .map_err(|_| Error::dangling("host.absent", format!("there is no host {host}")).at("host"))?;
        return places::pool(tx, host.pool).map(|pool| pool.site.to_string());
    }
    match named {
        Some(ELSEWHERE) => Ok(ELSEWHERE.to_owned()),
        Some(text) => {
            let id: SiteId = text.parse().map_err(|e: Error| e.at("site"))?;
            let there = tx.query_opt("SELECT id FROM sites WHERE id = $1", args![id], |row| row.get::<String>(0))?;
            there.ok_or_else(|| Error::dangling("site.absent", format!("there is no site {id}")).at("site"))
        }
        None => {
            let message = "say at which site it stands, or `elsewhere`: 3-2-1 counts on it";
            Err(Error::invalid("place.site", message).at("site"))
        }
    }
}

fn immutable(location: &Location, wanted: Option<Immutability>) -> Result<Immutability> {
    let wanted = wanted.unwrap_or(Immutability::None);
    let fits = match location {
        Location::Folder { .. } => wanted == Immutability::None,
        Location::Server { .. } => wanted != Immutability::ObjectLock,
        Location::Bucket { .. } => wanted != Immutability::AppendOnly,
    };
    let message = "a directory keeps nothing from its host, a server may be appendOnly, a bucket may have objectLock";
    fits.then_some(wanted).ok_or_else(|| Error::invalid("place.immutability", message).at("immutability"))
}

/// Makes a place for copies.
pub static CREATE: Action<NewPlace, BackupPlace> = Action {
    name: "backupPlace.create",
    summary: "Makes a place for copies: a directory of a host, a repository server or a bucket.",
    effect: Effect::Create,
    run: |tx, input| {
        name(&input.name)?;
        input.location.check()?;
        let host = stands_on(&input.location, input.host)?;
        let site = site(tx, host, input.site.as_deref())?;
        let immutability = immutable(&input.location, input.immutability)?;
        let (id, now, tenant) = (BackupPlaceId::fresh(tx.ids(), tx.now), tx.now, tx.cx().tenant());
        tx.touch("backupPlace", &id.to_string(), tenant, 1);
        let location = super::text(&input.location)?;
        tx.execute(
            "INSERT INTO backup_places (id, tenant, name, location, site, host, immutability, revision, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)",
            args![id, tenant, input.name, location, site, host, immutability.word(), now],
        )
        .map_err(taken("backupPlace.name_taken", &input.name))?;
        db::words::begin(tx, "backupPlace", tenant, &id.to_string(), &[&input.name])?;
        load(tx, id)
    },
};

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListPlaces {}

/// All places, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlacePage {
    /// The places.
    pub items: Vec<BackupPlace>,
}

/// Lists places for copies.
pub static LIST: Action<ListPlaces, PlacePage> = Action {
    name: "backupPlace.list",
    summary: "Lists places for copies.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = tx.cx().tenant();
        let sql = format!("{SELECT} WHERE tenant = $1 ORDER BY id LIMIT $2");
        Ok(PlacePage { items: tx.query(&sql, args![tenant, limits::PAGE_MAX], read)? })
    },
};

/// Which place.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlaceRef {
    /// Its id.
    pub id: BackupPlaceId,
}

/// Shows a place for copies.
pub static GET: Action<PlaceRef, BackupPlace> = Action {
    name: "backupPlace.get",
    summary: "Shows a place for copies.",
    effect: Effect::Read,
    run: |tx, input| granted(tx, "backupPlace.get", input.id),
};

/// A member that is there, be it `null`.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Option<HostId>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What changes of a place. Where it is stays: copies lie there.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePlace {
    /// The place.
    pub id: BackupPlaceId,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// The site that it stands at now, or `elsewhere`.
    #[serde(default)]
    pub site: Option<String>,
    /// The host of ours that it stands on now; `null` for none of ours.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<HostId>")]
    pub host: Option<Option<HostId>>,
    /// What keeps copies there from being changed now.
    #[serde(default)]
    pub immutability: Option<Immutability>,
}

/// Changes a place for copies.
pub static UPDATE: Action<ChangePlace, BackupPlace> = Action {
    name: "backupPlace.update",
    summary: "Renames a place for copies, or changes its site, the host it stands on, or what protects copies there.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "backupPlace.update", input.id)?;
        if input.revision.is_some_and(|revision| revision != found.revision) {
            let message = format!("the place is at revision {} by now", found.revision);
            return Err(Error::stale("backupPlace.stale", message));
        }
        let called = input.name.as_ref().unwrap_or(&found.name);
        name(called)?;
        let host = stands_on(&found.location, input.host.unwrap_or(found.host))?;
        let site = site(tx, host, Some(input.site.as_deref().unwrap_or(&found.site)))?;
        let immutability = immutable(&found.location, input.immutability.or(Some(found.immutability)))?;
        tx.execute(
            "UPDATE backup_places SET name = $2, site = $3, host = $4, immutability = $5, revision = revision + 1 WHERE id = $1",
            args![input.id, called, site, host, immutability.word()],
        )
        .map_err(taken("backupPlace.name_taken", called))?;
        db::words::keep(tx, "backupPlace", found.tenant, &input.id.to_string(), &[called])?;
        let changed = load(tx, input.id)?;
        repositories::place_changed(tx, &changed)?;
        Ok(changed)
    },
};

/// What a credential lets one do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Read and add: hosts get it for as long as a task of theirs is open.
    Append,
    /// Remove as well: for the one scheduler, in this server. No host is ever given it.
    Maintain,
}

impl Role {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Append => "append",
            Role::Maintain => "maintain",
        }
    }
}

/// A credential of a place.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetCredential {
    /// The place.
    pub id: BackupPlaceId,
    /// The tenant whose repository it is for; unless said otherwise all that have none of their own.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// It is for the platform's own repository, [`CONTROL_PLANE`](crate::control_plane::REPOSITORY).
    #[serde(default)]
    pub control_plane: bool,
    /// What it lets one do.
    pub role: Role,
    /// Its name, or the access key.
    pub name: String,
    /// Its secret.
    pub secret: String,
}

/// Keeps what lets one in at a place; told to nobody again.
pub static SET_CREDENTIAL: Action<SetCredential, BackupPlace> = Action {
    name: "backupPlace.set_credential",
    summary: "Keeps, sealed, what lets one in at a place for copies.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "backupPlace.set_credential", input.id)?;
        if found.location.host().is_some() {
            let message = "a directory is reached by its host itself and has no credentials";
            return Err(Error::conflict("place.no_credentials", message));
        }
        let fits = |text: &str| (1..=4_096).contains(&text.len()) && !text.chars().any(char::is_control);
        if !fits(&input.name) || !fits(&input.secret) {
            let message = "a credential has a name and a secret, without control characters";
            return Err(Error::invalid("credential.malformed", message).at("secret"));
        }
        let tenant = match (input.tenant, input.control_plane) {
            (Some(_), true) => {
                let message = "a credential is for a tenant's repository or for the platform's own, not for both";
                return Err(Error::invalid("credential.whose", message).at("controlPlane"));
            }
            (None, true) => REPOSITORY.to_owned(),
            (tenant, false) => tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
        };
        let row = credential_row(input.id, &tenant);
        let sealed = keys(tx)?.seal(For { row: &row, purpose: input.role.word() }, &input.secret)?;
        let now = tx.now;
        tx.execute(
            "INSERT INTO backup_credentials (place, tenant, role, name, secret, set_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (place, tenant, role) DO UPDATE SET name = excluded.name, secret = excluded.secret, set_at = excluded.set_at",
            args![input.id, tenant, input.role.word(), input.name, sealed, now],
        )?;
        Ok(found)
    },
};

fn credential_row(place: BackupPlaceId, tenant: &str) -> String {
    format!("{place}/{tenant}")
}

/// Name and secret of the credential for a repository: `own` is the tenant's id, or the control plane's.
pub(crate) fn credential(tx: &mut Tx<'_>, place: &BackupPlace, own: &str, role: Role) -> Result<(String, String)> {
    let sql = "SELECT tenant, name, secret FROM backup_credentials WHERE place = $1 AND role = $2 AND tenant IN ($3, '') ORDER BY tenant DESC LIMIT 1";
    let found: Option<(String, String, String)> =
        tx.query_opt(sql, args![place.id, role.word(), own], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let Some((whose, name, sealed)) = found else {
        let message = format!("the place {} has no {} credential for {own}; set one", place.name, role.word());
        return Err(Error::conflict("place.credential_absent", message));
    };
    let row = credential_row(place.id, &whose);
    let secret = keys(tx)?.unseal(For { row: &row, purpose: role.word() }, &sealed)?;
    Ok((name, secret))
}
