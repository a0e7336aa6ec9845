//! Guard: what stands between an insider and the record.
//!
//! | module | what |
//! |---|---|
//! | [`control`] | what in the audit log stands out, for whoever answers for the account |
//! | [`shipping`] | the audit log's signed heads and entries, brought to places that this server's own root cannot reach |
//!
//! Not here: the log itself, its proofs and its verification (`gate::audit`); alarms (`continuity`).

pub mod control;
pub mod shipping;

base::ids! {
    /// A place off this host that the audit log is shipped to.
    pub struct AuditPlaceId = "aupl";
}
db::id_columns!(AuditPlaceId);
