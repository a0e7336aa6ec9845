"""An isolation forest over what log control counts of every account and week.

control.py FOLDER NUMBER: reads FOLDER/figures.csv and FOLDER/planted.csv, names the NUMBER oddest accounts and weeks,
and prints how much of what was planted is among them. It knows no kinds: an abuse is found where any of its accounts is
named in any of its weeks, which is more lenient than what is asked of ours.
"""

import csv
import sys

import numpy
from pyod.models.iforest import IForest


def main(folder, number):
    with open(f"{folder}/figures.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(f"{folder}/planted.csv", newline="") as file:
        planted = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("firm", "week", "account")]
    figures = numpy.array([[float(row[name]) for name in names] for row in rows])
    forest = IForest(n_estimators=300, max_samples=1024, random_state=1)
    forest.fit(numpy.log1p(figures))
    oddest = numpy.argsort(-forest.decision_scores_)[:number]
    named = {(rows[n]["firm"], rows[n]["account"], int(rows[n]["week"])) for n in oddest}

    guilty = set()
    found = {}
    for abuse in planted:
        weeks = range(int(abuse["from_week"]), int(abuse["until_week"]))
        about = {(abuse["firm"], account, week) for account in abuse["accounts"].split() for week in weeks}
        guilty |= about
        found.setdefault(abuse["kind"], []).append(bool(about & named))
    print(f"{'kind':<10} {'found':>6}")
    for kind, all_of_kind in found.items():
        print(f"{kind:<10} {100 * sum(all_of_kind) / len(all_of_kind):>5.0f} %")
    together = [one for all_of_kind in found.values() for one in all_of_kind]
    precision = len(named & guilty) / max(1, len(named))
    print(f"{'all':<10} {100 * sum(together) / max(1, len(together)):>5.0f} % {100 * precision:>8.0f} % precision")


main(sys.argv[1], int(sys.argv[2]))
