//! How an account has shown who it is: how strongly, and when last.
//!
//! Made by `access` with the context; kept with every entry of the audit log;
//! looked at before actions that are marked sensitive ([`crate::Catalogue::sensitive`]).

use base::time::{Timestamp, micros};
use base::{Error, Result, limits};
use db::{AsValue, FromValue, Value};
use serde::{Deserialize, Serialize};

use crate::{Actor, Cx};

/// How strongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Strength {
    /// A password alone.
    #[serde(rename = "password")]
    Password,
    /// A password and a one-time code of an authenticator.
    #[serde(rename = "password+code")]
    Code,
    /// A password and a recovery code.
    #[serde(rename = "password+recovery")]
    Recovery,
    /// A password and a passkey or security key.
    #[serde(rename = "password+passkey")]
    Key,
    /// A passkey alone, whose authenticator made sure who used it: something one has, and something
    /// one knows or is.
    #[serde(rename = "passkey")]
    Passkey,
    /// What an identity provider of the account's organisation said, as one factor.
    #[serde(rename = "provider")]
    Provider,
    /// The same with a second factor: shown there, where the organisation's rules let that count, or here.
    #[serde(rename = "provider+factor")]
    ProviderFactor,
    /// An API token.
    #[serde(rename = "token")]
    Token,
}

impl Strength {
    const ALL: [Strength; 8] = [
        Strength::Password,
        Strength::Code,
        Strength::Recovery,
        Strength::Key,
        Strength::Passkey,
        Strength::Provider,
        Strength::ProviderFactor,
        Strength::Token,
    ];

    /// The word that is stored, and that the audit log says.
    pub fn word(self) -> &'static str {
        match self {
            Strength::Password => "password",
            Strength::Code => "password+code",
            Strength::Recovery => "password+recovery",
            Strength::Key => "password+passkey",
            Strength::Passkey => "passkey",
            Strength::Provider => "provider",
            Strength::ProviderFactor => "provider+factor",
            Strength::Token => "token",
        }
    }

    /// Whether a second factor was shown, or a passkey that is two in one.
    pub fn is_two_factor(self) -> bool {
        matches!(
            self,
            Strength::Code | Strength::Recovery | Strength::Key | Strength::Passkey | Strength::ProviderFactor
        )
    }
}

impl AsValue for Strength {
    fn as_value(&self) -> Value<'_> {
        Value::Text(self.word().into())
    }
}

impl FromValue for Strength {
    fn from_value(value: Value<'_>) -> Option<Self> {
        let Value::Text(text) = value else { return None };
        Strength::ALL.into_iter().find(|strength| strength.word() == text)
    }
}

/// What a session or a token has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// How strongly.
    pub strength: Strength,
    /// When it was last shown; for a token, when it was made.
    pub at: Timestamp,
    /// Whether the account has a second factor to show.
    pub has_factor: bool,
    /// Whether the account must have one and does not: nothing else is open until it has.
    pub must_enrol: bool,
    /// Whether it is a token that was made for sensitive actions.
    pub for_sensitive: bool,
}

/// When a sensitive action wants a fresh proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fresh {
    /// Where the account has a second factor: that factor, lately.
    Factor,
    /// Always: the second factor where there is one, else the password.
    Always,
}

impl Proof {
    /// Whether it will do for a sensitive action at `now`.
    pub fn is_fresh(&self, wanted: Fresh, now: Timestamp) -> bool {
        let age = micros(now) - micros(self.at);
        // A proof from the future comes of a clock that was set back; how old it is nobody knows.
        let lately = (0..=limits::STEP_UP_SECONDS * 1_000_000).contains(&age);
        match (self.strength, self.has_factor) {
            (Strength::Token, _) => self.for_sensitive,
            (strength, true) => lately && strength.is_two_factor(),
            (_, false) => lately || wanted == Fresh::Factor,
        }
    }
}

/// Whether the actor has shown enough for a sensitive action.
pub(crate) fn check(cx: &Cx, action: &str, wanted: Fresh, now: Timestamp) -> Result<()> {
    if !matches!(cx.actor(), Actor::Account(_)) || cx.proof().is_some_and(|proof| proof.is_fresh(wanted, now)) {
        return Ok(());
    }
    if cx.proof().is_some_and(|proof| proof.strength == Strength::Token) {
        return Err(Error::forbidden(
            "token.not_sensitive",
            format!("this token was not made for sensitive actions such as {action}; make one that is, or sign in"),
        ));
    }
    Err(step_up_wanted(action))
}

/// The refusal of what wants to be shown again who it is.
pub fn step_up_wanted(action: &str) -> Error {
    Error::forbidden(
        "session.step_up",
        format!("{action} wants to know again that it is you: confirm this session (session.step_up) and repeat it"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn proof(strength: Strength, has_factor: bool) -> Proof {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        Proof { strength, at, has_factor, must_enrol: false, for_sensitive: false }
    }

    fn after(proof: &Proof, seconds: u64) -> Timestamp {
        proof.at + Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn who_has_a_factor_must_have_shown_it_within_ten_minutes(seconds in 0u64..2_000, two in any::<bool>(), always in any::<bool>()) {
            let one = proof(if two { Strength::Code } else { Strength::Password }, true);
            let wanted = if always { Fresh::Always } else { Fresh::Factor };
            prop_assert_eq!(one.is_fresh(wanted, after(&one, seconds)), two && seconds <= 600);
        }

        #[test]
        fn who_has_none_shows_the_password_again_only_where_it_is_always_asked(seconds in 0u64..2_000) {
            let one = proof(Strength::Password, false);
            prop_assert!(one.is_fresh(Fresh::Factor, after(&one, seconds)));
            prop_assert_eq!(one.is_fresh(Fresh::Always, after(&one, seconds)), seconds <= 600);
        }
    }

    #[test]
    fn a_token_does_what_it_was_made_for_and_a_clock_set_back_helps_nobody() {
        let mut token = proof(Strength::Token, true);
        assert!(!token.is_fresh(Fresh::Factor, token.at));
        token.for_sensitive = true;
        assert!(token.is_fresh(Fresh::Always, after(&token, 1_000_000)));
        let code = proof(Strength::Code, true);
        assert!(!code.is_fresh(Fresh::Factor, code.at - Duration::from_secs(1)));
    }

    #[test]
    fn words_read_back() {
        for strength in Strength::ALL {
            assert_eq!(Strength::from_value(strength.as_value()), Some(strength));
            assert_eq!(serde_json::to_value(strength).unwrap(), strength.word());
        }
    }
}
