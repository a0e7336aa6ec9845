//! What people bring to a drill of the platform: a form for shares of the master key and for the kit.
//!
//! The shares are put together while the request is answered; what goes on from here follows from the key
//! and opens nothing, and neither shares nor key reach the gate, a record, a log or a page. Nothing that was
//! typed is ever put back into the form, also where it was wrong.

use base::{Error, Result};
use continuity::DrillPlanId;
use continuity::control_plane::brought::{Brought, Shares, proof};
use continuity::control_plane::kit::Kit;
use continuity::shares::{self, Share};

use crate::account::said;
use crate::ui::{Field, told};
use crate::visit::Signed;

/// Where shares are typed, one a line. `step_up` knows the name too.
pub(super) const SHARES: &str = "shares";
/// Where the kit is pasted.
pub(super) const KIT: &str = "kit";

/// The form's fields, always empty.
pub(super) fn fields(s: &Signed, wrong: &[(&str, String)]) -> Vec<Field> {
    let d = &s.t().drills;
    let shares = Field::private(SHARES, d.shares).hint(d.shares_hint).rows(6);
    let kit = Field::private(KIT, d.kit).hint(d.kit_hint).rows(4);
    let optional = s.t().frame.optional;
    [shares, kit].into_iter().map(|field| told(wrong, field.optional(optional))).collect()
}

/// What was brought to a drill of that plan, where anything was.
///
/// # Errors
/// `Invalid`: those of shares and of kits.
pub(super) fn read(s: &Signed, plan: DrillPlanId) -> Result<Option<Brought>> {
    let (typed, pasted) = (s.visit.form.raw(SHARES), s.visit.form.raw(KIT));
    let held: Vec<Share> =
        typed.lines().map(str::trim).filter(|line| !line.is_empty()).map(Share::read).collect::<Result<_>>()?;
    let kit = Some(pasted.trim()).filter(|text| !text.is_empty()).map(Kit::read).transpose()?;
    let shares = match held.as_slice() {
        [] => None,
        held => {
            let (master, at) = (shares::join(held)?, s.portal.gate.now());
            Some(Shares { at, proof: proof(&master, plan, at)? })
        }
    };
    Ok((shares.is_some() || kit.is_some()).then_some(Brought { shares, kit }))
}

/// Which field an error is about, and its words; none where it is about something else.
pub(super) fn wrong(s: &Signed, error: &Error) -> Option<(&'static str, String)> {
    let field = match error.code() {
        "drill.shares_stale" | "drill.shares_wrong" => SHARES,
        code if code.starts_with("share.") => SHARES,
        "drill.kit_stale" | "kit.malformed" | "secret.key_wrong" | "secret.damaged" => KIT,
        _ => return None,
    };
    Some((field, said(s, error)))
}
