//! Object storage: each piece a new object. What keeps it there is the bucket's own retention.

use base::{Error, Result};
use gate::audit::{Kept, Shipment, VerifyingKey};
use gate::keys::Keys;
use vault::objects::{self, Objects};

use super::{AuditPlace, Target};

pub(super) struct Bucket(Objects);

/// The bucket of a place, with what lets one in.
pub(super) fn open(place: &AuditPlace, keys: &Keys) -> Result<Bucket> {
    let Target::Bucket { endpoint, bucket, prefix, region, virtual_hosted, authority } = &place.target else {
        return Err(Error::bug("shipping.target", "a place was taken for a bucket"));
    };
    let (access_key, secret) = place.secret(keys)?;
    let named = vault::request::Bucket {
        endpoint: endpoint.clone(),
        bucket: bucket.clone(),
        prefix: prefix.clone(),
        region: region.clone(),
        access_key,
        secret_key: vault::request::Secret::new(secret),
        virtual_hosted: *virtual_hosted,
        authority: authority.clone(),
    };
    Objects::open(&named).map(Bucket)
}

impl Bucket {
    pub fn put(&self, piece: &Shipment, key: &VerifyingKey) -> Result<()> {
        let (name, text) = (format!("{}.jsonl", piece.name()), piece.lines(key));
        match self.0.get(&name)? {
            // Sent before a crash, and not remembered.
            Some(there) if there == text.as_bytes() => Ok(()),
            Some(_) => {
                let message = format!(
                    "{name} is there with something else in it: another log, or this one with another history; look at it before anything else"
                );
                Err(Error::conflict("shipping.taken", message))
            }
            None => self.0.put(&name, text.into()),
        }
    }

    /// Everything that lies there.
    pub fn kept(&self) -> Result<Kept> {
        let mut kept = Kept::default();
        let mut names = self.0.list()?;
        names.retain(|name| name.ends_with(".jsonl"));
        names.sort();
        for name in names {
            // Gone between the two looks: what it held is missing, and that shows.
            let Some(text) = self.0.get(&name)? else { continue };
            let read = Kept::of(&text[..]);
            kept.join(read.map_err(|e| Error::unavailable(objects::UNREADABLE, format!("{name}: {e}")))?);
        }
        Ok(kept)
    }
}
