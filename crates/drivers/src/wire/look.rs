//! What lies in a recovery point, as whoever looks into it is told.

use base::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What lies in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedItem {
    /// Its name. What is no text, or would mislead, is written as in an address: `%` and two
    /// hexadecimal digits; `%` itself is `%25`. A path is made of such names.
    pub name: String,
    /// What it is.
    pub kind: SavedKind,
    /// Its size in bytes.
    pub size: u64,
    /// When it was changed last, by the clock of who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub modified: Option<Timestamp>,
    /// Its permission bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Where a symbolic link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The file system on a partition, in the words of Linux; empty where nobody knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<String>,
    /// What a partition or its file system is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether there is something in it to look at.
    pub opens: bool,
}

/// What something is that lies in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SavedKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// The image of a disk.
    Disk,
    /// A partition of a disk.
    Partition,
    /// Something that holds no data of its own: a device, a pipe, a socket.
    #[serde(other)]
    Other,
}
