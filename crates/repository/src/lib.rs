//! The repository server: backups of other hosts, kept where those hosts have no power.
//!
//! It speaks restic's REST protocol, so the vault and plain restic both use it. A host's
//! credential may read and add; nothing that is there can be changed or removed with it, save
//! locks. Removing is for the maintenance credential, which the one scheduler that prunes holds
//! and no host ever sees.
//!
//! Invariants, each with a test that tries:
//! - a file is there whole and under the hash of its contents, or not at all (`shelf`);
//! - what a name holds never changes (`shelf`);
//! - no credential reaches another repository than its own (`http`);
//! - secrets are kept as digests, and a revoked one is refused at its next request (`credentials`).

pub mod credentials;
pub mod http;
mod shelf;
