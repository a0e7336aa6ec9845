//! 3-2-1-1-0, digit by digit, from evidence. Pure.
//!
//! Three copies of the data, the original counted; on two media that do not fail together; one
//! of them at another site; one that nobody can change; and no errors when it was brought back.
//! A copy counts when it was looked at and found whole, and where it lies is heard of. The last digit
//! is met by a restore of the service that was really made from the place of one of its copies in the
//! last 93 days, and by nothing else: until then it is *not proven*, which is not *met*.

use std::collections::BTreeSet;

use base::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A copy as the rule sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The place's name, for people.
    pub place: String,
    /// What it shares its fate with: a host, a server, a provider.
    pub medium: String,
    /// The site that it is at, `elsewhere` for one that is none of ours.
    pub site: String,
    /// Whether somebody with a host's credentials can change or remove it.
    pub immutable: Immutable,
    /// It was looked at and found whole.
    pub verified: bool,
    /// It was looked at and something was wrong.
    pub faulty: bool,
    /// When the service was last restored from its place and its data was right, where that still speaks for it.
    pub drilled_at: Option<Timestamp>,
}

/// Whether what lies at a place can be changed or removed by whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Immutable {
    /// It can.
    No,
    /// Somebody says that it cannot, and nobody saw that.
    Said,
    /// It was tried with a host's own credential, and refused.
    Seen,
}

/// Where the original is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// Its host.
    pub medium: String,
    /// The host's site.
    pub site: String,
}

/// Which digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Name {
    /// 3: copies.
    Copies,
    /// 2: media.
    Media,
    /// 1: another site.
    OffSite,
    /// 1: cannot be changed.
    Immutable,
    /// 0: errors.
    Errors,
}

/// How a digit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// There is evidence that it holds.
    Met,
    /// It does not hold.
    NotMet,
    /// Nothing speaks against it, and nobody has tried.
    NotProven,
}

/// One digit with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Digit {
    /// Which.
    pub name: Name,
    /// What the rule wants.
    pub wanted: u32,
    /// What is there.
    pub found: u32,
    /// How it stands.
    pub standing: Standing,
    /// What was counted: names of places, media or sites.
    pub evidence: Vec<String>,
}

fn digit(name: Name, wanted: u32, evidence: Vec<String>) -> Digit {
    let found = u32::try_from(evidence.len()).unwrap_or(u32::MAX);
    let standing = if found >= wanted { Standing::Met } else { Standing::NotMet };
    Digit { name, wanted, found, standing, evidence }
}

/// The word under which the original is counted.
const ORIGINAL: &str = "original";

/// The five digits of a service, from the copies of its newest point that can be restored.
pub fn digits(original: Option<&Original>, copies: &[Seen]) -> Vec<Digit> {
    let good: Vec<&Seen> = copies.iter().filter(|copy| copy.verified && !copy.faulty).collect();
    let names = |of: &dyn Fn(&Seen) -> bool| -> Vec<String> {
        good.iter().filter(|copy| of(copy)).map(|copy| copy.place.clone()).collect()
    };
    let counted = original.iter().map(|_| ORIGINAL.to_owned()).chain(names(&|_| true)).collect();
    let media: BTreeSet<&String> =
        original.iter().map(|original| &original.medium).chain(good.iter().map(|copy| &copy.medium)).collect();
    let away = |copy: &Seen| original.is_none_or(|original| original.site != copy.site) && !copy.site.is_empty();
    // With the original gone, another site than what? Two sites among the copies.
    let sites: BTreeSet<&String> = good.iter().map(|copy| &copy.site).filter(|site| !site.is_empty()).collect();
    let off_site = if original.is_some() || sites.len() > 1 { names(&away) } else { Vec::new() };
    vec![
        digit(Name::Copies, 3, counted),
        digit(Name::Media, 2, media.into_iter().cloned().collect()),
        digit(Name::OffSite, 1, off_site),
        immutable(&good),
        errors(copies),
    ]
}

fn immutable(good: &[&Seen]) -> Digit {
    let kept = good.iter().filter(|copy| copy.immutable != Immutable::No);
    let digit = digit(Name::Immutable, 1, kept.map(|copy| copy.place.clone()).collect());
    let seen = good.iter().any(|copy| copy.immutable == Immutable::Seen);
    match digit.standing {
        Standing::Met if !seen => Digit { standing: Standing::NotProven, ..digit },
        _ => digit,
    }
}

fn errors(copies: &[Seen]) -> Digit {
    let faulty: Vec<String> = copies.iter().filter(|copy| copy.faulty).map(|copy| copy.place.clone()).collect();
    let drilled = copies.iter().any(|copy| copy.verified && copy.drilled_at.is_some());
    let standing = match (faulty.is_empty(), drilled) {
        (false, _) => Standing::NotMet,
        (true, true) => Standing::Met,
        (true, false) => Standing::NotProven,
    };
    Digit {
        name: Name::Errors,
        wanted: 0,
        found: u32::try_from(faulty.len()).unwrap_or(u32::MAX),
        standing,
        evidence: faulty,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn copy(place: &str, medium: &str, site: &str) -> Seen {
        Seen {
            place: place.into(),
            medium: medium.into(),
            site: site.into(),
            immutable: Immutable::No,
            verified: true,
            faulty: false,
            drilled_at: None,
        }
    }

    fn standings(original: Option<&Original>, copies: &[Seen]) -> Vec<Standing> {
        digits(original, copies).into_iter().map(|digit| digit.standing).collect()
    }

    fn here() -> Original {
        Original { medium: "host:a".into(), site: "north".into() }
    }

    #[test]
    fn the_rule_is_met_digit_by_digit() {
        use Standing::{Met, NotMet, NotProven};
        let (near, far) = (copy("near", "host:a", "north"), copy("far", "host:b", "south"));
        let held = Seen { immutable: Immutable::Seen, ..far.clone() };
        let said = Seen { immutable: Immutable::Said, ..far.clone() };
        let drilled = Seen { drilled_at: Some(Timestamp::UNIX_EPOCH), ..held.clone() };
        let table = [
            (vec![], [NotMet, NotMet, NotMet, NotMet, NotProven]),
            (vec![near.clone()], [NotMet, NotMet, NotMet, NotMet, NotProven]),
            (vec![near.clone(), near.clone()], [Met, NotMet, NotMet, NotMet, NotProven]),
            (vec![near.clone(), far.clone()], [Met, Met, Met, NotMet, NotProven]),
            (vec![near.clone(), said], [Met, Met, Met, NotProven, NotProven]),
            (vec![near.clone(), held.clone()], [Met, Met, Met, Met, NotProven]),
            (vec![near.clone(), drilled.clone()], [Met, Met, Met, Met, Met]),
            (vec![Seen { verified: false, faulty: true, ..near.clone() }, drilled], [NotMet, Met, Met, Met, NotMet]),
            (vec![Seen { verified: false, ..near }, held], [NotMet, Met, Met, Met, NotProven]),
        ];
        for (copies, wanted) in table {
            assert_eq!(standings(Some(&here()), &copies), wanted, "{copies:?}");
        }
    }

    #[test]
    fn a_site_that_nobody_named_is_not_another_one() {
        let digits = digits(Some(&here()), &[copy("somewhere", "server:x", "")]);
        assert_eq!(digits[2].standing, Standing::NotMet);
    }

    #[test]
    fn with_the_original_gone_its_place_is_not_counted() {
        let copies = [copy("near", "host:a", "north"), copy("far", "host:b", "south")];
        assert_eq!(digits(None, &copies)[0].found, 2);
        assert_eq!(standings(None, &copies)[2], Standing::Met);
        assert_eq!(standings(None, &copies[..1])[2], Standing::NotMet);
    }

    fn any_copy() -> impl Strategy<Value = Seen> {
        (0..3_u8, 0..3_u8, any::<[bool; 4]>()).prop_map(|(medium, site, [immutable, verified, faulty, drilled])| Seen {
            place: format!("p{medium}{site}"),
            medium: format!("host:{medium}"),
            site: format!("site{site}"),
            immutable: if immutable { Immutable::Seen } else { Immutable::No },
            verified,
            faulty,
            drilled_at: drilled.then_some(Timestamp::UNIX_EPOCH),
        })
    }

    proptest! {
        #[test]
        fn a_further_whole_copy_never_makes_a_digit_worse(
            copies in proptest::collection::vec(any_copy(), 0..5), more in any_copy(),
        ) {
            let more = Seen { verified: true, faulty: false, ..more };
            let rank = |standing: &Standing| match standing {
                Standing::NotMet => 0,
                Standing::NotProven => 1,
                Standing::Met => 2,
            };
            let before = standings(Some(&here()), &copies);
            let after = standings(Some(&here()), &[copies, vec![more]].concat());
            prop_assert!(before.iter().zip(&after).all(|(before, after)| rank(before) <= rank(after)));
        }

        #[test]
        fn nothing_unverified_or_faulty_counts(copies in proptest::collection::vec(any_copy(), 0..6)) {
            let whole: Vec<Seen> = copies.iter().filter(|copy| copy.verified && !copy.faulty).cloned().collect();
            prop_assert_eq!(&digits(Some(&here()), &copies)[..4], &digits(Some(&here()), &whole)[..4]);
        }
    }
}
