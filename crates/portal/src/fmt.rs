//! How values are written for people: money, numbers, dates, spans, sizes.
//!
//! Invariant: nothing here is a float, and nothing decides in which language;
//! that is [`crate::page::Page`], whose methods templates call.

use crate::i18n::{Lang, Messages, fill};
use askama::filters::HtmlSafe;
use base::money::{Currency, Money};
use base::time::Timestamp;
use jiff::tz::{Offset, TimeZone};
use rust_decimal::Decimal;
use std::fmt;

/// The zone in which people read times until accounts carry their own.
pub(crate) fn taipei() -> TimeZone {
    // Taiwan has kept UTC+8 without daylight saving since 1980, so the fixed
    // offset is right where a machine lacks the time zone database.
    TimeZone::get("Asia/Taipei").unwrap_or_else(|_| TimeZone::fixed(Offset::constant(8)))
}

/// Digits in groups of three: `-1234567` as `-1,234,567`.
pub(crate) fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("−", rest));
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(w, p)| (w, Some(p)));
    let mut out = String::from(sign);
    let count = whole.chars().count();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (count - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if let Some(part) = part {
        out.push('.');
        out.push_str(part);
    }
    out
}

const fn sign(currency: Currency) -> &'static str {
    match currency {
        Currency::Twd => "NT$",
        Currency::Usd => "US$",
        Currency::Eur => "€",
        Currency::Jpy => "JP¥",
    }
}

/// `NT$1,234`, `US$12.30`.
pub(crate) fn money(money: Money) -> String {
    amount(&money.amount().to_string(), money.currency)
}

/// A price before rounding: as many decimals as it has, `NT$0.35`.
pub(crate) fn price(value: Decimal, currency: Currency) -> String {
    amount(&value.normalize().to_string(), currency)
}

fn amount(digits: &str, currency: Currency) -> String {
    match digits.strip_prefix('-') {
        Some(rest) => format!("−{}{}", sign(currency), grouped(rest)),
        None => format!("{}{}", sign(currency), grouped(digits)),
    }
}

/// A quantity without trailing zeros.
pub(crate) fn number(value: Decimal) -> String {
    grouped(&value.normalize().to_string())
}

/// Bytes in binary units, one decimal at most.
pub(crate) fn bytes(count: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut size = i128::from(count) * 10;
    while size >= 10_240 && unit < UNITS.len() - 1 {
        size /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("B");
    if size % 10 == 0 {
        format!("{} {name}", grouped(&(size / 10).to_string()))
    } else {
        format!("{}.{} {name}", size / 10, size % 10)
    }
}

/// `2026年11月21日 14:05` or `21 Nov 2026, 14:05`.
pub(crate) fn date_time(at: Timestamp, lang: Lang) -> String {
    let local = at.to_zoned(taipei());
    let form = match lang {
        Lang::Zh => "%Y年%-m月%-d日 %H:%M",
        Lang::En => "%-d %b %Y, %H:%M",
    };
    local.strftime(form).to_string()
}

/// The time of day alone, `14:05`.
pub(crate) fn time(at: Timestamp) -> String {
    at.to_zoned(taipei()).strftime("%H:%M").to_string()
}

/// Date and time to the second, for logs.
pub(crate) fn exact(at: Timestamp, lang: Lang) -> String {
    let local = at.to_zoned(taipei());
    let form = match lang {
        Lang::Zh => "%Y年%-m月%-d日 %H:%M:%S",
        Lang::En => "%-d %b %Y, %H:%M:%S",
    };
    local.strftime(form).to_string()
}

/// `2026年11月21日` or `21 November 2026`.
pub(crate) fn date(at: Timestamp, lang: Lang) -> String {
    let local = at.to_zoned(taipei());
    let form = match lang {
        Lang::Zh => "%Y年%-m月%-d日",
        Lang::En => "%-d %B %Y",
    };
    local.strftime(form).to_string()
}

/// The day, as a date field holds it.
pub(crate) fn day(at: Timestamp) -> String {
    at.to_zoned(taipei()).strftime("%Y-%m-%d").to_string()
}

/// The last second of the day that a date field holds; nothing where it is empty.
pub(crate) fn end_of_day(text: &str) -> Result<Option<Timestamp>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: jiff::civil::Date = text.parse().map_err(|_| ())?;
    let zoned = day.at(23, 59, 59, 0).to_zoned(taipei()).map_err(|_| ())?;
    Ok(Some(zoned.timestamp()))
}

/// How long: the two largest units.
pub(crate) fn span(seconds: i64, t: &Messages) -> String {
    let s = seconds.max(0);
    match s {
        0..60 => fill(t.frame.seconds_long, &[&s]),
        60..3_600 => fill(t.frame.minutes_long, &[&(s / 60), &(s % 60)]),
        3_600..86_400 => fill(t.frame.hours_long, &[&(s / 3_600), &(s % 3_600 / 60)]),
        _ => fill(t.frame.days_long, &[&(s / 86_400), &(s % 86_400 / 3_600)]),
    }
}

/// How long something short took: `0.4 s`, `2.3 s`, then as [`span`].
pub(crate) fn took(milliseconds: i64, t: &Messages) -> String {
    let ms = milliseconds.max(0);
    if ms < 100 {
        fill(t.frame.seconds_long, &[&"< 0.1"])
    } else if ms < 10_000 {
        fill(t.frame.seconds_long, &[&format!("{}.{}", ms / 1000, ms % 1000 / 100)])
    } else {
        span(ms / 1000, t)
    }
}

fn distance(at: Timestamp, now: Timestamp, lang: Lang) -> String {
    let t = lang.messages();
    let seconds = now.as_second() - at.as_second();
    let (ago, minutes, hours, days) = if seconds >= 0 {
        (seconds, t.frame.minutes_ago, t.frame.hours_ago, t.frame.days_ago)
    } else {
        (-seconds, t.frame.in_minutes, t.frame.in_hours, t.frame.in_days)
    };
    match ago {
        0..60 => t.frame.just_now.to_owned(),
        60..3_600 => fill(minutes, &[&(ago / 60)]),
        3_600..86_400 => fill(hours, &[&(ago / 3_600)]),
        86_400..604_800 => fill(days, &[&(ago / 86_400)]),
        _ => date(at, lang),
    }
}

/// An instant as a `<time>` element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub at: Timestamp,
    pub now: Timestamp,
    pub lang: Lang,
    /// "3 minutes ago" with the date on hovering, rather than the date.
    pub relative: bool,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = date_time(self.at, self.lang);
        if self.relative {
            write!(
                f,
                r#"<time datetime="{}" title="{full}" data-ago>{}</time>"#,
                self.at,
                distance(self.at, self.now, self.lang)
            )
        } else {
            write!(f, r#"<time datetime="{}">{full}</time>"#, self.at)
        }
    }
}
impl HtmlSafe for When {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn dates_are_written_in_taipei_time() {
        let t = at("2026-11-21T06:05:09Z");
        assert_eq!(date_time(t, Lang::Zh), "2026年11月21日 14:05");
        assert_eq!(date_time(t, Lang::En), "21 Nov 2026, 14:05");
        assert_eq!(date(at("2026-11-20T16:00:00Z"), Lang::Zh), "2026年11月21日");
    }

    #[test]
    fn amounts_are_written_as_bills_write_them() {
        for (minor, currency, text) in [
            (1_234, Currency::Twd, "NT$1,234"),
            (0, Currency::Twd, "NT$0"),
            (-1_234_567, Currency::Twd, "−NT$1,234,567"),
            (1_230, Currency::Usd, "US$12.30"),
        ] {
            assert_eq!(money(Money { minor, currency }), text);
        }
        assert_eq!(price("0.350".parse().unwrap(), Currency::Twd), "NT$0.35");
        assert_eq!(number("1234.5000".parse().unwrap()), "1,234.5");
    }

    #[test]
    fn spans_use_their_two_largest_units() {
        let t = Lang::En.messages();
        assert_eq!(span(42, t), "42 s");
        assert_eq!(span(3_700, t), "1 h 1 min");
        assert_eq!(took(2_340, t), "2.3 s");
        assert_eq!(bytes(1_610_612_736), "1.5 GiB");
        assert_eq!(bytes(134_217_728), "128 MiB");
    }

    #[test]
    fn near_times_are_told_by_distance() {
        let now = at("2026-11-21T06:05:00Z");
        assert_eq!(distance(at("2026-11-21T06:02:00Z"), now, Lang::Zh), "3 分鐘前");
        assert_eq!(distance(at("2026-11-21T09:05:00Z"), now, Lang::En), "in 3 h");
        assert_eq!(distance(at("2026-10-01T06:02:00Z"), now, Lang::En), "1 October 2026");
    }
}
