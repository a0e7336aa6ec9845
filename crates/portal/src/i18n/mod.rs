//! What the portal says, in Traditional Chinese and in English.
//!
//! Each section is a struct with one field per message, so a template that
//! names a message that is not there does not compile, and neither does a
//! message that lacks one of its languages. Placeholders are `{}`, filled in
//! order by [`fill`]; a test holds that both languages have the same number.

mod account;
mod actions;
mod alarms;
mod announcements;
mod approvals;
mod backups;
mod billing;
mod codes;
mod design;
mod door;
mod drills;
mod factors;
mod frame;
mod identity_providers;
mod inventory;
mod operator;
mod ordering;
mod permissions;
mod plan;
mod platform;
mod rules;
mod search;
mod service_accounts;
mod shipping;
mod steps;
mod webhooks;

pub(crate) use account::Account;
pub(crate) use actions::action;
pub(crate) use alarms::Alarms;
pub(crate) use announcements::Announcements;
pub(crate) use approvals::Approvals;
pub(crate) use backups::Backups;
pub(crate) use billing::Billing;
pub(crate) use codes::{said as said_of, words};
pub(crate) use design::Design;
pub(crate) use door::Door;
pub(crate) use drills::Drills;
pub(crate) use factors::Factors;
pub(crate) use frame::{Errors, Frame, State};
pub(crate) use identity_providers::IdentityProviders;
pub(crate) use inventory::Inventory;
pub(crate) use operator::Operator;
pub(crate) use ordering::Ordering;
pub(crate) use permissions::Permissions;
pub(crate) use plan::Plan;
pub(crate) use platform::Platform;
pub(crate) use rules::Rules;
pub(crate) use search::Search;
pub(crate) use service_accounts::ServiceAccounts;
pub(crate) use shipping::Shipping;
pub(crate) use steps::Steps;
pub(crate) use webhooks::Webhooks;

/// Declares a section: `messages! { Name { key: "中文", "English"; } }`.
macro_rules! messages {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $zh:literal, $en:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name { $(pub $key: &'static str,)* }
        impl $name {
            pub(crate) const ZH: Self = Self { $($key: $zh,)* };
            pub(crate) const EN: Self = Self { $($key: $en,)* };
            /// Key, Chinese and English of each message, for the tests.
            #[cfg(test)]
            pub(crate) const ALL: &[(&'static str, &'static str, &'static str)] = &[$((stringify!($key), $zh, $en),)*];
        }
    };
}
pub(crate) use messages;

/// A language that the portal speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lang {
    /// Traditional Chinese as written in Taiwan.
    Zh,
    /// English.
    En,
}

/// Everything the portal says in one language.
#[derive(Debug)]
pub(crate) struct Messages {
    pub frame: Frame,
    pub state: State,
    pub errors: Errors,
    pub door: Door,
    pub ordering: Ordering,
    pub billing: Billing,
    pub backups: Backups,
    pub account: Account,
    pub factors: Factors,
    pub operator: Operator,
    pub design: Design,
    pub steps: Steps,
    pub webhooks: Webhooks,
    pub drills: Drills,
    pub identity_providers: IdentityProviders,
    pub inventory: Inventory,
    pub permissions: Permissions,
    pub plan: Plan,
    pub alarms: Alarms,
    pub announcements: Announcements,
    pub approvals: Approvals,
    pub platform: Platform,
    pub rules: Rules,
    pub search: Search,
    pub service_accounts: ServiceAccounts,
    pub shipping: Shipping,
}

static ZH: Messages = Messages {
    frame: Frame::ZH,
    state: State::ZH,
    errors: Errors::ZH,
    door: Door::ZH,
    ordering: Ordering::ZH,
    billing: Billing::ZH,
    backups: Backups::ZH,
    account: Account::ZH,
    factors: Factors::ZH,
    operator: Operator::ZH,
    design: Design::ZH,
    steps: Steps::ZH,
    webhooks: Webhooks::ZH,
    drills: Drills::ZH,
    identity_providers: IdentityProviders::ZH,
    inventory: Inventory::ZH,
    permissions: Permissions::ZH,
    plan: Plan::ZH,
    alarms: Alarms::ZH,
    announcements: Announcements::ZH,
    approvals: Approvals::ZH,
    platform: Platform::ZH,
    rules: Rules::ZH,
    search: Search::ZH,
    service_accounts: ServiceAccounts::ZH,
    shipping: Shipping::ZH,
};
static EN: Messages = Messages {
    frame: Frame::EN,
    state: State::EN,
    errors: Errors::EN,
    door: Door::EN,
    ordering: Ordering::EN,
    billing: Billing::EN,
    backups: Backups::EN,
    account: Account::EN,
    factors: Factors::EN,
    operator: Operator::EN,
    design: Design::EN,
    steps: Steps::EN,
    webhooks: Webhooks::EN,
    drills: Drills::EN,
    identity_providers: IdentityProviders::EN,
    inventory: Inventory::EN,
    permissions: Permissions::EN,
    plan: Plan::EN,
    alarms: Alarms::EN,
    announcements: Announcements::EN,
    approvals: Approvals::EN,
    platform: Platform::EN,
    rules: Rules::EN,
    search: Search::EN,
    service_accounts: ServiceAccounts::EN,
    shipping: Shipping::EN,
};

impl Lang {
    /// The messages in this language.
    pub(crate) const fn messages(self) -> &'static Messages {
        match self {
            Self::Zh => &ZH,
            Self::En => &EN,
        }
    }

    /// The tag of BCP 47, as the page's `lang` says it.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-Hant-TW",
            Self::En => "en",
        }
    }

    /// Short form: the value of `?lang=` and of the cookie.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// Reads a tag, whatever its region or script.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let first = text.trim().split(['-', '_']).next().unwrap_or_default();
        if first.eq_ignore_ascii_case("zh") {
            Some(Self::Zh)
        } else if first.eq_ignore_ascii_case("en") {
            Some(Self::En)
        } else {
            None
        }
    }

    /// The best match of an `Accept-Language` header.
    pub(crate) fn accept(header: &str) -> Option<Self> {
        let mut best: Option<(u16, Self)> = None;
        for part in header.split(',').take(16) {
            let mut halves = part.split(';');
            let Some(lang) = halves.next().and_then(Self::parse) else { continue };
            let quality = halves.find_map(|p| p.trim().strip_prefix("q=")).map_or(1000, thousandths);
            if quality > 0 && best.is_none_or(|(other, _)| quality > other) {
                best = Some((quality, lang));
            }
        }
        best.map(|(_, lang)| lang)
    }
}

/// `0.8` as 800; what cannot be read counts as nothing.
fn thousandths(q: &str) -> u16 {
    let (whole, part) = q.trim().split_once('.').unwrap_or((q.trim(), ""));
    let digits: String = part.chars().chain("000".chars()).take(3).collect();
    let whole: u16 = whole.parse().unwrap_or(0);
    let part: u16 = digits.parse().unwrap_or(0);
    whole.saturating_mul(1000).saturating_add(part).min(1000)
}

/// Puts `values` in the place of each `{}` of `message`, in order.
pub(crate) fn fill(message: &str, values: &[&dyn std::fmt::Display]) -> String {
    let mut out = String::with_capacity(message.len() + 16);
    let mut values = values.iter();
    let mut parts = message.split("{}");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        if let Some(value) = values.next() {
            out.push_str(&value.to_string());
        }
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(&'static str, &'static str, &'static str)> {
        [
            Frame::ALL,
            State::ALL,
            Errors::ALL,
            Door::ALL,
            Ordering::ALL,
            Billing::ALL,
            Backups::ALL,
            Account::ALL,
            Factors::ALL,
            Operator::ALL,
            Design::ALL,
            Steps::ALL,
            Webhooks::ALL,
            Drills::ALL,
            IdentityProviders::ALL,
            Inventory::ALL,
            Permissions::ALL,
            Plan::ALL,
            Alarms::ALL,
            Announcements::ALL,
            Approvals::ALL,
            Platform::ALL,
            Rules::ALL,
            Search::ALL,
            ServiceAccounts::ALL,
            Shipping::ALL,
        ]
        .concat()
    }

    #[test]
    fn every_message_says_something_in_both_languages_with_the_same_gaps() {
        for (key, zh, en) in all() {
            assert!(!zh.trim().is_empty() && !en.trim().is_empty(), "{key} is empty");
            assert_eq!(
                zh.matches("{}").count(),
                en.matches("{}").count(),
                "{key} has other gaps in Chinese than in English"
            );
        }
    }

    #[test]
    fn chinese_is_the_chinese_of_taiwan() {
        // Simplified forms and mainland terms that slip in easily.
        for word in ["账", "单", "务", "户", "云", "审计", "服务器", "登录", "用户", "默认", "網絡", "數據庫", "賬"]
        {
            for (key, zh, _) in all() {
                if word == "户" || word == "云" || word == "单" || word == "务" || word == "账" {
                    assert!(!zh.contains(word), "{key}: {zh}");
                } else {
                    assert!(!zh.contains(word), "{key} uses {word}");
                }
            }
        }
    }

    #[test]
    fn language_follows_the_browsers_wish() {
        for (header, lang) in [
            ("zh-TW,zh;q=0.9,en;q=0.8", Some(Lang::Zh)),
            ("en-GB,en;q=0.9", Some(Lang::En)),
            ("fr;q=1.0, en;q=0.4, zh;q=0.6", Some(Lang::Zh)),
            ("de", None),
            ("en;q=0, zh;q=0.1", Some(Lang::Zh)),
            ("", None),
            (";;;,,q=", None),
        ] {
            assert_eq!(Lang::accept(header), lang, "{header}");
        }
    }

    #[test]
    fn gaps_are_filled_in_order() {
        assert_eq!(fill("{} of {}", &[&1, &"two"]), "1 of two");
        assert_eq!(fill("none", &[&1]), "none");
        assert_eq!(fill("{} and {}", &[&1]), "1 and ");
    }
}
