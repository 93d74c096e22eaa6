"""What sealing a decision costs, beside keeping it in clear.

usage: bin/bench decisions_sealed [rounds]

500 people, a decision each with three products, as a batch writes them and a claim reads them: JSON alone, and JSON
deflated and sealed with each person's own key, the keys read from the database and unwrapped in the same go. In turns;
microseconds of this process's CPU for a decision, medians over rounds, and bytes. It leaves its rows in the database.
"""

# ruff: noqa: E402  # Django is set up before the apps are imported
import json
import os
import random
import sys
from collections.abc import Callable
from itertools import count
from statistics import mean, median
from time import process_time_ns
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

import orjson

from apps.data.profiles.vault import keys_make, vault_open
from apps.decisioning.decisions.sealing import Kept, decision_open, decision_seal
from apps.foundation.core.ids import uuid7
from tests import factories
from tests.delivery import makers

PEOPLE = 500
TARGET_BYTES = 1024
WORDS = (
    *("paper chain", "rabbit", "night light", "hot water", "bottle", "keep calm", "vintage", "glass", "heart"),
    *("tin", "wooden", "box", "set of 3", "christmas", "cake cases", "lunch bag", "red retrospot"),
)


def decision_made(number: int) -> Kept:
    """A decision as the playbooks of the sample shop make them."""
    chance = random.Random(number)
    items = [
        {
            "sku": str(chance.randrange(20_000, 24_000)),
            "url": "",
            "price": f"£{chance.randrange(100, 1500) / 100:.2f}",
            "title": " ".join(chance.sample(WORDS, 4)).upper(),
            "image_url": "",
        }
        for _ in range(3)
    ]
    inputs: dict[str, Any] = {
        "language": "en",
        "profile": {"first_name": f"Zoë {number}"},
        "slots": {
            "hero": {"tier": "static", "block": "2"},
            "products": {"tier": "country", "block": "4", "items": items},
        },
    }
    lost = [[{"is": "GB", "field": "country", "wanted": "is DE, AT or CH"}]]
    reasons = {
        "set": 1,
        "slots": {"hero": {"at": 1, "no": lost}, "products": {"at": 1, "no": [{"of": 3, "items": 0}]}},
    }
    return Kept(inputs, reasons)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    start = random.randrange(10**9)  # the makers number what they make; some may be there already
    makers._number, factories._number = count(start), count(start)
    people = makers.make_people(PEOPLE, consent=False)
    keys_make(people)
    batch = [(uuid7(), profile_id, decision_made(number)) for number, profile_id in enumerate(people)]

    def clear() -> list[tuple[str, str]]:
        return [(orjson.dumps(kept.inputs).decode(), orjson.dumps(kept.reasons).decode()) for _, _, kept in batch]

    def sealed() -> list[bytes]:
        vault = vault_open(people)
        return [
            decision_seal(vault, decision_id=decision_id, profile_id=profile_id, kept=kept)
            for decision_id, profile_id, kept in batch
        ]

    texts, bodies = clear(), sealed()

    def opened() -> list[Kept]:
        vault = vault_open(people)
        return [
            decision_open(vault, decision_id=decision_id, profile_id=profile_id, sealed=body)
            for (decision_id, profile_id, _), body in zip(batch, bodies, strict=True)
        ]

    assert opened() == [kept for _, _, kept in batch], "what was sealed opens"
    sides: dict[str, Callable[[], object]] = {
        "written in clear: JSON": clear,
        "written sealed: keys, JSON, deflate, seal": sealed,
        "read in clear: JSON": lambda: [Kept(orjson.loads(one), orjson.loads(other)) for one, other in texts],
        "read sealed: keys, open, inflate, JSON": opened,
        "of both sealed: reading the keys": lambda: vault_open(people),
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            before = process_time_ns()
            side()
            taken[name].append((process_time_ns() - before) / 1000 / PEOPLE)
    middle = {name: median(times) for name, times in taken.items()}
    size = {
        "clear": mean(len(one.encode()) + len(other.encode()) for one, other in texts),
        "sealed": mean(map(len, bodies)),
    }
    for name, microseconds in middle.items():
        print(f"{name:46}{microseconds:8.1f} us")
    print(f"\n{size['clear']:.0f} bytes of JSON, {size['sealed']:.0f} sealed\n")
    figures = {
        "seal_us": round(middle["written sealed: keys, JSON, deflate, seal"], 1),
        "open_us": round(middle["read sealed: keys, open, inflate, JSON"], 1),
        "keys_us": round(middle["of both sealed: reading the keys"], 1),
        "clear_write_us": round(middle["written in clear: JSON"], 1),
        "clear_read_us": round(middle["read in clear: JSON"], 1),
        "bytes": round(size["sealed"]),
        "ratio_of_bytes": round(size["sealed"] / size["clear"], 2),
    }
    met = {"bytes": figures["bytes"] <= TARGET_BYTES}
    print(json.dumps({"name": "decisions_sealed", "figures": figures, "targets": {"bytes": TARGET_BYTES}, "met": met}))


if __name__ == "__main__":
    main()
