#!/usr/bin/env python3
"""Computes bills a second time, from the usage and the prices behind them.

Reads one exported bill (`bill.export`), or a list of them, and recomputes every
line, tax and total with Python's own decimals, fractions and calendar. Shares
nothing with the program that made the bill but docs/explanation/rating.md.

    rebill.py FILE        exit 0 and "N bills agree", or 1 and what differs
"""

import json
import sys
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
DECIMALS = {"TWD": 0, "JPY": 0, "USD": 2, "EUR": 2}


def micros(instant):
    """A datetime as whole microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def zone_of(name):
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        if name == "Asia/Taipei":
            return timezone(timedelta(hours=8))
        raise


def month_micros(label, zone):
    year, month = map(int, label.split("-"))
    following = (year + month // 12, month % 12 + 1)
    return micros(datetime(*following, 1, tzinfo=zone)) - micros(datetime(year, month, 1, tzinfo=zone))


def year_micros(label, zone):
    year = int(label.split("-")[0])
    return micros(datetime(year + 1, 1, 1, tzinfo=zone)) - micros(datetime(year, 1, 1, tzinfo=zone))


def round_away(value, decimals):
    """Half away from zero, to minor units."""
    scaled = value * 10**decimals
    whole, rest = divmod(abs(scaled), 1)
    minor = int(whole) + (1 if rest >= Fraction(1, 2) else 0)
    return minor if scaled >= 0 else -minor


def period_micros(charge, month, zone):
    """The period of a recurring price, for use in a month."""
    cycle = charge["cycle"]
    if cycle == "month":
        period = month_micros(month, zone)
    elif cycle == "year":
        period = year_micros(month, zone)
    else:
        period = SECONDS[cycle] * 1_000_000
    return period * charge["length"]


def number(text):
    return Fraction(Decimal(str(text)))


def quantity(price, entry, zone):
    """How many units of a price there are in an entry, exactly; None: not its kind."""
    charge, basis = price["charge"], entry["basis"]
    length = (entry["untilUs"] - entry["fromUs"]) * entry["sign"]
    sizes = entry["sizes"]
    if charge["type"] == "oneTime":
        return Fraction(entry["sign"]) if basis == "once" and price["key"] in sizes else None
    if charge["type"] == "recurring":
        if basis != "held":
            return None
        return Fraction(length, period_micros(charge, entry["month"], zone))
    size = sizes.get(charge["measure"])
    if size is None:
        return None
    if charge["time"] is None:
        return number(size) * entry["sign"] / number(charge["per"]) if basis == "count" else None
    if basis not in ("run", "held"):
        return None
    return number(size) * length / (SECONDS[charge["time"]] * 1_000_000) / number(charge["per"])


def worth(price, units):
    """What a month's first units cost: an allowance, then one rate per tier."""
    allowance = number(price.get("allowance", 0))
    units = max(units - allowance, Fraction(0)) if allowance else units
    steps = [(Fraction(0), number(price["amount"]))]
    steps += [(number(tier["above"]), number(tier["amount"])) for tier in price.get("tiers", [])]
    if units < 0:
        return units * steps[0][1]
    total = Fraction(0)
    for place, (above, rate) in enumerate(steps):
        upper = steps[place + 1][0] if place + 1 < len(steps) else units
        total += rate * max(min(units, upper) - above, Fraction(0))
    return total


def identity(price):
    """Everything of a price that decides an amount."""
    return json.dumps({k: v for k, v in price.items() if k != "name"}, sort_keys=True)


def lines_of(meter, zone):
    groups = defaultdict(Fraction)
    prices = {}
    for entry in meter["entries"]:
        for price in meter["prices"][str(entry["version"])]:
            units = quantity(price, entry, zone)
            if units is not None:
                key = (entry["month"], identity(price))
                groups[key] += units
                prices[key] = price
    prior = defaultdict(Fraction)
    for before in meter["prior"]:
        price = json.loads(before["price"])
        unit = quantity_unit(price, before["month"], zone)
        prior[(before["month"], identity(price))] += number(before["numerator"]) / unit
    for key, units in groups.items():
        if units:
            price = prices[key]
            stepped = price.get("allowance") or price.get("tiers")
            before = prior[key] if stepped else Fraction(0)
            amount = worth(price, before + units) - worth(price, before)
            yield key[0], price, round_away(amount, DECIMALS[price["currency"]])


def quantity_unit(price, month, zone):
    """How many of the numerator's parts make one unit of a price in a month."""
    charge = price["charge"]
    if charge["type"] == "oneTime":
        return Fraction(1)
    if charge["type"] == "recurring":
        return Fraction(period_micros(charge, month, zone))
    time = SECONDS[charge["time"]] * 1_000_000 if charge["time"] else 1
    return time * number(charge["per"])


def rebill(exported):
    """The differences between a bill and what it should be."""
    bill, zone = exported["bill"], zone_of(exported["timeZone"])
    currency = bill["net"]["unit"]
    decimals = DECIMALS[currency]
    minor = lambda money: round_away(number(money["value"]), decimals)
    computed = []
    for meter in exported["meters"]:
        for month, price, amount in lines_of(meter, zone):
            computed.append((meter["product"], month, price["name"], amount, number(price["taxPercent"])))
    for adjustment in exported["adjustments"]:
        amount = round_away(number(adjustment["amount"]), decimals)
        computed.append(("", None, None, amount, number(adjustment["taxPercent"])))
    shown = sorted((l["product"], l["month"] if l["product"] else "", l["label"] if l["product"] else "", minor(l["amount"])) for l in bill["lines"])
    ours = sorted((product, month or "", name or "", amount) for product, month, name, amount, _ in computed)
    wrong = [f"line {a} is not {b}" for a, b in zip(shown, ours) if a != b]
    if len(shown) != len(ours):
        wrong.append(f"{len(shown)} lines instead of {len(ours)}")
    sums = defaultdict(int)
    for *_, amount, percent in computed:
        sums[Fraction(0) if exported["exempt"] else percent] += amount
    net = sum(sums.values())
    tax = sum(round_away(Fraction(amount, 10**decimals) * percent / 100, decimals) for percent, amount in sums.items())
    for name, value in (("net", net), ("tax", tax), ("total", net + tax)):
        if minor(bill[name]) != value:
            wrong.append(f"{name} is {minor(bill[name])}, not {value}")
    return [f"bill {bill['number']}: {text}" for text in wrong]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        exported = json.load(file)
    bills = exported if isinstance(exported, list) else [exported]
    wrong = [text for bill in bills for text in rebill(bill)]
    print("\n".join(wrong) if wrong else f"{len(bills)} bills agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
