//! What is bound together, and who is one person. Pure.

use std::collections::BTreeMap;

use base::id::AccountId;
use base::time::micros;
use base::{Error, Result, limits};
use serde_json::json;

use super::Approval;

/// SHA-256 over everything that an approval says will happen.
pub(super) fn digest(approval: &Approval) -> [u8; 32] {
    gate::audit::digest(&json!([
        "yunwei approval v1",
        approval.id,
        approval.tenant,
        approval.action,
        approval.amounts_to,
        approval.input,
        approval.object,
        approval.seen,
        approval.requester,
        approval.reason,
        micros(approval.expires_at),
    ]))
}

/// A reason that somebody else can decide by.
pub(super) fn reason(text: &str) -> Result<String> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    let fault = if text.is_empty() {
        "say why: somebody else is to decide by it"
    } else if text.chars().nth(limits::APPROVAL_REASON_CHARS_MAX).is_some() {
        "that is too long to be read"
    } else if text.chars().any(|c| c.is_control() && c != '\n') {
        "control characters do not belong here"
    } else {
        return Ok(text.to_owned());
    };
    Err(Error::invalid("approval.reason", fault).at("reason"))
}

/// The mailbox that an address leads into: `mei+x@example.com` and `Mei@example.com` are one.
pub(super) fn mailbox(email: &str) -> String {
    let email = email.to_lowercase();
    match email.split_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.split('+').next().unwrap_or(local)),
        None => email,
    }
}

/// Links between the accounts whose addresses lead into one mailbox.
pub(super) fn sharing(addresses: Vec<(AccountId, String)>) -> Vec<(AccountId, AccountId)> {
    let mut first: BTreeMap<String, AccountId> = BTreeMap::new();
    let mut links = Vec::new();
    for (account, address) in addresses {
        let known = *first.entry(mailbox(&address)).or_insert(account);
        if known != account {
            links.push((known, account));
        }
    }
    links
}

/// Everybody whom these links make one person with `account`, whatever way round and over how many.
pub(super) fn linked(account: AccountId, links: &[(AccountId, AccountId)]) -> Vec<AccountId> {
    let mut all = vec![account];
    let mut next = 0;
    while let Some(at) = all.get(next).copied() {
        next += 1;
        for (one, other) in links {
            let far = if *one == at { *other } else { *one };
            if (*one == at || *other == at) && !all.contains(&far) {
                all.push(far);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_both_ways_and_over_others() {
        let id = AccountId;
        let links = [(id(1), id(2)), (id(3), id(2)), (id(5), id(6))];
        assert_eq!(linked(id(1), &links), [id(1), id(2), id(3)]);
        assert_eq!(linked(id(3), &links), [id(3), id(2), id(1)]);
        assert_eq!(linked(id(4), &links), [id(4)]);
    }

    #[test]
    fn addresses_that_lead_into_one_mailbox_are_one() {
        for same in ["mei@example.com", "Mei@Example.com", "mei+work@example.com", "mei+a+b@example.com"] {
            assert_eq!(mailbox(same), "mei@example.com");
        }
        assert_ne!(mailbox("mei@example.com"), mailbox("mei@example.org"));
    }

    #[test]
    fn mailboxes_are_links_like_any_other() {
        let id = AccountId;
        let at = |n, address: &str| (id(n), address.to_owned());
        let mut links = sharing(vec![at(1, "mei@example.com"), at(2, "desk@example.com"), at(3, "desk+b@example.com")]);
        assert_eq!(links, [(id(2), id(3))]);
        links.push((id(1), id(2)));
        assert_eq!(linked(id(1), &links), [id(1), id(2), id(3)]);
        assert_eq!(sharing(vec![at(1, "mei@example.com"), at(1, "mei@example.com")]), []);
    }

    #[test]
    fn a_reason_is_words() {
        assert_eq!(reason("  ticket 4711\r\nold disks ").unwrap(), "ticket 4711\nold disks");
        for bad in ["", "  ", "a\u{7}", &"x".repeat(limits::APPROVAL_REASON_CHARS_MAX + 1)] {
            assert_eq!(reason(bad).unwrap_err().code(), "approval.reason");
        }
    }
}
