//! Single objects in S3-compatible object storage, by name: for what is kept off the host and is no
//! repository, such as pieces of the audit log.
//!
//! Small objects and no engine: this runs in the process that asks, and not in a child.

use base::Result;
use bytes::Bytes;

use crate::place::Bucket as Store;
use crate::request::Bucket;

/// What is there does not read.
pub const UNREADABLE: &str = "object.unreadable";

/// The objects below a prefix of a bucket.
#[derive(Debug)]
pub struct Objects(Store);

impl Objects {
    /// A bucket, which must be there.
    ///
    /// # Errors
    /// `Invalid` where it cannot be used as described. Nobody has asked it anything yet.
    pub fn open(named: &Bucket) -> Result<Self> {
        Store::new(named).map(Objects)
    }

    /// Puts an object there, with the digest that buckets with a retention ask for.
    ///
    /// # Errors
    /// Where the storage refuses or cannot be reached.
    pub fn put(&self, name: &str, body: Bytes) -> Result<()> {
        self.0.put_object(name, body)
    }

    /// An object; `None` where there is none of that name.
    ///
    /// # Errors
    /// As [`Objects::put`].
    pub fn get(&self, name: &str) -> Result<Option<Bytes>> {
        self.0.get_object(name)
    }

    /// The names of all objects, in no order.
    ///
    /// # Errors
    /// As [`Objects::put`].
    pub fn list(&self) -> Result<Vec<String>> {
        self.0.list_objects()
    }
}
