"""Who is one person, on two public sets with known answers: precision of automatic merges, recall of the review queue.

usage: bin/bench identity [folder of the data]

Splink's `fake_1000` and FEBRL's first set, by the same model, keys and limits as in the product, fitted on each set
without its labels. Pairs above `MERGE_PROBABILITY` count as merged, with what follows from them (if A is B and B is C,
A is C); the queue is what would be put before staff, the merged ones included, at most three times the true pairs. The
social security number of FEBRL is left out: it would make the task trivial.
"""

# ruff: noqa: E402  # Django is set up before the apps are imported
import csv
import gzip
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.conf import settings

from apps.data.profiles.candidates import KEY_MOST, values_of
from apps.data.profiles.matching import Values, model_fit, pairs_of, score

PRECISION, RECALL, QUEUE = 0.99, 0.80, 3
Pair = tuple[int, int]


def rows(path: Path) -> Iterable[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from csv.DictReader(lines, skipinitialspace=True)


def fake_1000(folder: Path) -> tuple[dict[int, Values], dict[int, str]]:
    people, truth = {}, {}
    for row in rows(folder / "identity_fake_1000.csv.gz"):
        told = {
            "first_name": row["first_name"],
            "last_name": row["surname"],
            "birth_date": row["dob"],
            "city": row["city"],
        }
        email = row["email"].strip().lower()
        people[int(row["unique_id"])] = values_of(told, {"email": [email] if email else []})
        truth[int(row["unique_id"])] = row["cluster"]
    return people, truth


def febrl1(folder: Path) -> tuple[dict[int, Values], dict[int, str]]:
    people, truth = {}, {}
    for number, row in enumerate(rows(folder / "identity_febrl1.csv.gz")):
        told = {
            "first_name": row["given_name"],
            "last_name": row["surname"],
            "birth_date": row["date_of_birth"],
            "city": row["suburb"],
            "postcode": row["postcode"],
            "street": f"{row['street_number']} {row['address_1']}",
        }
        people[number] = values_of(told, {})
        truth[number] = row["rec_id"].split("-")[1]
    return people, truth


def together(pairs: Iterable[Pair]) -> set[Pair]:
    """All pairs that follow from these."""
    head: dict[int, int] = {}

    def top(one: int) -> int:
        while head.setdefault(one, one) != one:
            one = head[one]
        return one

    for one, other in pairs:
        head[top(one)] = top(other)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for one in head:
        groups[top(one)].append(one)
    return {pair for held in groups.values() for pair in combinations(sorted(held), 2)}


def measure(people: Mapping[int, Values], truth: Mapping[int, str]) -> dict[str, Any]:
    begun = time.perf_counter()
    same: defaultdict[str, list[int]] = defaultdict(list)
    for number, cluster in truth.items():
        same[cluster].append(number)
    true = {pair for held in same.values() for pair in combinations(sorted(held), 2)}
    pairs = pairs_of(people, most=KEY_MOST)
    model = model_fit(people, pairs)
    scored = sorted(((score(model, people[a], people[b]), (a, b)) for a, b in pairs), key=lambda one: -one[0].weight)
    merged = together(pair for found, pair in scored if found.probability >= settings.MERGE_PROBABILITY)
    expected = model.prior * len(people) * (len(people) - 1) / 2
    most = min(int(QUEUE * len(true)), int(QUEUE * expected))
    queue = {pair for found, pair in scored[:most] if found.probability >= 0.001} | merged
    return {
        "people": len(people),
        "true_pairs": len(true),
        "expected_by_the_model": round(expected),
        "merged": len(merged),
        "precision_merged": round(len(merged & true) / max(1, len(merged)), 4),
        "recall_merged": round(len(merged & true) / len(true), 4),
        "queue": len(queue),
        "queue_of_true": round(len(queue) / len(true), 2),
        "recall_queue": round(len(queue & true) / len(true), 4),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "identity_febrl1.csv.gz").exists():
        print(f"The public sets are not in {folder}: say where they are.", file=sys.stderr)
        return 2
    figures, met = {}, True
    for name, read in (("fake_1000", fake_1000), ("febrl1", febrl1)):
        found = measure(*read(folder))
        met &= found["precision_merged"] >= PRECISION and found["recall_queue"] >= RECALL
        met &= found["queue"] <= QUEUE * found["true_pairs"]
        figures[name] = found
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in found.items()), file=sys.stderr)
    targets = {"precision_merged": PRECISION, "recall_queue": RECALL, "queue_of_true": QUEUE}
    print(json.dumps({"name": "identity", "figures": figures, "targets": targets, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
