//! Resources: where machines stand, what they stand on, and what keeps two
//! orders from taking the same core or the same address.
//!
//! | module | what |
//! |---|---|
//! | [`places`] | sites, pools, subnets |
//! | [`hosts`] | hosts and their states; invitations, enrolment, certificates |
//! | [`images`] | what machines' disks are made from |
//! | [`capacity`] | reservations over the ledger |
//! | [`placement`] | which host: a pure function |
//! | [`claims`] | things that are one of a kind: ports, addresses, station addresses |
//! | [`intents`] | what should be on a host, and what was seen there |
//! | [`tasks`] | finite work that a host is asked for: backups, copies, checks |
//! | [`observe`] | what agents report: observations, lives, orphans |
//! | [`ca`] | our own certificate authority |
//! | [`door`] | the agents' entrance, and [`http`], the same over TLS |
//! | [`local`] | an agent in the server's own process |
//! | [`inventory`] | TMF634 and TMF639: the same things as open documents |
//! | [`work`] | reconcilers |
//!
//! **Invariants** (each with its test beside it):
//! - no host's dimension is reserved beyond what the ledger credits it with;
//! - a claim has one holder (`claims`' keys);
//! - what a machine holds is let go only when its absence was observed, or no
//!   intent for it was ever written;
//! - an agent speaks of its own host only.
//!
//! **Not here.** Services and orders (`provisioning`), how an agent makes a
//! host so (`drivers::converge`), prices.

pub mod ca;
pub mod capacity;
pub mod claims;
pub mod console;
pub mod door;
mod fact;
pub mod handed;
pub mod hosts;
pub mod http;
pub mod images;
pub mod intents;
pub mod inventory;
pub mod local;
pub mod observe;
pub mod orphans;
pub mod placement;
pub mod places;
// Rows of attributes, packed by hand.
#[rustfmt::skip]
pub mod shapes;
pub mod tasks;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod wake;
pub mod work;

pub use drivers::wire::IntentId;
pub use fact::Fact;
pub use inventory::KINDS;
pub use work::register;

use base::id::HostId;
use gate::AnyAction;
use gate::search::{Findable, Reach};

base::ids! {
    /// A place with hosts.
    pub struct SiteId = "site";
    /// Hosts that are alike.
    pub struct PoolId = "pool";
    /// A range of addresses.
    pub struct SubnetId = "snet";
    /// What a disk is made from.
    pub struct ImageId = "img";
    /// A host that is expected.
    pub struct InvitationId = "inv";
}
db::id_columns!(SiteId, PoolId, SubnetId, ImageId, InvitationId);

/// What of this room is found; see [`gate::search`]. It is the operator's, and found in the operator's tenant.
pub static FINDABLE: &[Findable] = &[
    Findable::table(["site", SiteId::PREFIX], "site.list", "sites t", "t.name").by_words().reach(Reach::Acting),
    Findable::table(["pool", PoolId::PREFIX], "pool.list", "pools t", "t.name")
        .by_words()
        .about("t.site")
        .reach(Reach::Acting),
    Findable::table(["subnet", SubnetId::PREFIX], "subnet.list", "subnets t", "t.name")
        .by_words()
        .about("t.pool")
        .reach(Reach::Acting),
    Findable::table(["host", HostId::PREFIX], "host.list", "hosts t", "t.name")
        .by_words()
        .state("t.state")
        .about("t.pool")
        .reach(Reach::Acting),
    Findable::table(["image", ImageId::PREFIX], "image.list", "images t", "t.name").by_words().reach(Reach::Acting),
    Findable::table(["intent", "vm"], "intent.list", "intents t JOIN hosts h ON h.id = t.host", "h.name")
        .owned_by("h.tenant")
        .state("CASE WHEN t.freed_at IS NULL THEN t.standing ELSE 'freed' END")
        .found_by("t.service")
        .reach(Reach::Acting),
    Findable::table(["hostTask", "htsk"], "host.list", "host_tasks t JOIN hosts h ON h.id = t.host", "h.name")
        .owned_by("h.tenant")
        .state("t.state")
        .about("t.host")
        .reach(Reach::Acting),
    Findable::own("claim", "claim.list", claims::find),
];

/// Every action of this room.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &places::CREATE_SITE,
    &places::LIST_SITES,
    &places::CREATE_POOL,
    &places::LIST_POOLS,
    &places::UPDATE_POOL,
    &places::CREATE_SUBNET,
    &places::LIST_SUBNETS,
    &hosts::INVITE,
    &hosts::LIST_INVITATIONS,
    &hosts::ENROL,
    &hosts::LIST,
    &hosts::GET,
    &hosts::ACTIVATE,
    &hosts::DRAIN,
    &hosts::RETIRE,
    &images::REGISTER,
    &images::UPLOAD,
    &images::LIST,
    &images::GET,
    &capacity::GET,
    &capacity::LIST_RESERVATIONS,
    &claims::LIST,
    &intents::LIST,
    &intents::GET,
    &console::REQUEST,
    &console::GET,
    &orphans::LIST,
    &orphans::ADOPT,
    &orphans::REMOVE,
    &observe::POLL,
    &observe::OBSERVE,
    &console::ANSWER,
    &images::FETCH,
    &hosts::RENEW,
    &tasks::ACCESS,
    &tasks::HAND_OVER,
    &tasks::RECOVER,
    &work::RECONCILE,
];
