//! Money: whole minor units of a currency, never a float.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An ISO 4217 currency that the platform can bill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// New Taiwan dollar. ISO 4217 gives it two decimals; bills carry none, as
    /// trade and uniform invoices in Taiwan are in whole dollars.
    Twd,
    /// US dollar.
    Usd,
    /// Euro.
    Eur,
    /// Yen.
    Jpy,
}

impl Currency {
    /// How many decimals amounts on a bill carry.
    pub fn decimals(self) -> u32 {
        match self {
            Currency::Twd | Currency::Jpy => 0,
            Currency::Usd | Currency::Eur => 2,
        }
    }

    /// The three letters of ISO 4217.
    pub fn code(self) -> &'static str {
        match self {
            Currency::Twd => "TWD",
            Currency::Usd => "USD",
            Currency::Eur => "EUR",
            Currency::Jpy => "JPY",
        }
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::str::FromStr for Currency {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        [Currency::Twd, Currency::Usd, Currency::Eur, Currency::Jpy].into_iter().find(|c| c.code() == text).ok_or_else(
            || {
                Error::invalid(
                    "currency.unknown",
                    format!("`{text}` is not a currency we bill in (TWD, USD, EUR, JPY)"),
                )
            },
        )
    }
}

/// An amount that can stand on a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Whole minor units: dollars for TWD, cents for USD.
    pub minor: i64,
    /// In what.
    pub currency: Currency,
}

impl Money {
    /// Nothing, in `currency`.
    pub fn zero(currency: Currency) -> Self {
        Money { minor: 0, currency }
    }

    /// Rounds an exact amount to what a bill can carry: half away from zero,
    /// the commercial rule (四捨五入).
    ///
    /// # Errors
    /// `Invalid` where the amount does not fit into 64 bits of minor units.
    pub fn round(exact: Decimal, currency: Currency) -> Result<Self> {
        let rounded = exact.round_dp_with_strategy(currency.decimals(), RoundingStrategy::MidpointAwayFromZero);
        let scaled = rounded.checked_mul(Decimal::from(10i64.pow(currency.decimals())));
        let minor = scaled.and_then(|value| i64::try_from(value).ok());
        minor.map(|minor| Money { minor, currency }).ok_or_else(too_large)
    }

    /// The sum.
    ///
    /// # Errors
    /// `Bug` for two currencies, `Invalid` on overflow.
    pub fn plus(self, other: Money) -> Result<Money> {
        if self.currency != other.currency {
            return Err(Error::bug("money.mixed", format!("{} cannot be added to {}", other.currency, self.currency)));
        }
        let minor = self.minor.checked_add(other.minor).ok_or_else(too_large)?;
        Ok(Money { minor, ..self })
    }

    /// The exact amount in whole units of the currency.
    pub fn amount(self) -> Decimal {
        Decimal::new(self.minor, self.currency.decimals())
    }

    /// TM Forum's `Money`: `{"unit":"TWD","value":123}`.
    pub fn to_tmf(self) -> serde_json::Value {
        serde_json::json!({ "unit": self.currency.code(), "value": number(self.amount()) })
    }
}

fn too_large() -> Error {
    Error::invalid("money.too_large", "the amount is too large")
}

/// A decimal as a JSON number with the same digits.
///
/// JSON numbers become doubles in most programs, which keep 15 significant
/// digits exactly; amounts and prices are checked to stay within those.
pub fn number(value: Decimal) -> serde_json::Value {
    let value = value.normalize();
    if value.scale() == 0
        && let Ok(whole) = i64::try_from(value)
    {
        return whole.into();
    }
    value.to_string().parse::<serde_json::Number>().map_or(serde_json::Value::Null, serde_json::Value::Number)
}

/// Reads a JSON number, or a string of digits, as the decimal that was written.
///
/// # Errors
/// `Invalid` naming `attribute`.
pub fn decimal(value: &serde_json::Value, attribute: &str) -> Result<Decimal> {
    let text = match value {
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::String(text) => text.clone(),
        _ => String::new(),
    };
    text.parse::<Decimal>()
        .or_else(|_| Decimal::from_scientific(&text))
        .map_err(|_| Error::invalid("number.malformed", "a decimal number is needed here").at(attribute))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_away_from_zero() {
        for (exact, minor) in [("0.5", 1), ("-0.5", -1), ("1.4999", 1), ("2.5", 3)] {
            assert_eq!(Money::round(exact.parse().unwrap(), Currency::Twd).unwrap().minor, minor);
        }
        assert_eq!(Money::round("1.005".parse().unwrap(), Currency::Usd).unwrap().minor, 101);
    }

    #[test]
    fn numbers_keep_their_digits() {
        for text in ["0.035", "12", "-7.5", "123456789012.345"] {
            let value: Decimal = text.parse().unwrap();
            assert_eq!(decimal(&number(value), "x").unwrap(), value);
        }
        assert_eq!(decimal(&serde_json::json!(0.1), "x").unwrap(), "0.1".parse().unwrap());
        assert!(decimal(&serde_json::json!({}), "x").is_err());
    }

    #[test]
    fn huge_amounts_are_refused() {
        assert!(Money::round(Decimal::MAX, Currency::Usd).is_err());
    }
}
