"""Decisions of a run computed again after new versions, other goods and withdrawn consents: how fast, and all the same.

usage: bin/bench replay [--decisions N]

10,000 people of the benchmark `send` are decided about. Then each thing that they were decided from is changed: items
are sold out, retitled and cost something else, people move and withdraw, orders go, recommendations are computed anew,
and the playbook gets five newer versions, published. Every decision is computed again as `manage.py decision_replay`
does, and must be the same. Then one stored value of each of a thousand is changed, a different one each time: none may
be the same. It leaves its rows in the database.
"""

from bench.send import people_make, shop_make, told  # sets Django up  # isort: skip

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from apps.data.catalog.models import Item
from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.data.events.models import OrderLine
from apps.data.profiles.models import Profile
from apps.decisioning.decisions.keeping import MARK
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.replay import decisions_replay, recorded_of, recorded_replay
from apps.decisioning.decisions.sealing import Kept, decisions_open
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.models import Playbook, Run
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit, playbook_update, run_plan, run_start
from apps.decisioning.recommendations.services import recommendation_set_refresh
from tests.factories import approve

VERSIONS = 5
CHANGED = 1_000
CHUNK = 500


def everything_change(playbook: Playbook) -> None:
    """Make all that decisions were made from something else."""
    Item.objects.update(title="Sold", price=9, in_stock=False)
    Profile.objects.update(country="IT", language="it", first_name="Somebody")
    for pk in Profile.objects.exclude(keys=None).values_list("pk", flat=True)[:100]:
        consent_withdraw(
            profile_id=pk,
            purpose="marketing",
            channel="email",
            method=ConsentRecord.Method.STAFF,
            source="bench",
        )
    OrderLine.objects.all().delete()
    recommendation_set_refresh(force=True)
    for number in range(VERSIONS):
        playbook_update(playbook_id=playbook.pk, by=playbook.owner, cap_count=number + 1, name=f"Another {number}")
        version = approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
        playbook_publish(version_id=version.pk, by=playbook.owner)


def rows_of(run: Run) -> list[Decision]:
    return list(Decision.objects.select_related("run__version").filter(run=run).order_by("pk"))


def replays(rows: Sequence[Decision]) -> tuple[Counter[str], float]:
    """How they came out, and the seconds of this process's CPU."""
    states: Counter[str] = Counter()
    began = time.process_time()
    for first in range(0, len(rows), CHUNK):
        states.update(one.state for one in decisions_replay(rows[first : first + CHUNK]))
    return states, time.process_time() - began


def values_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """The places of single values within something: what holds each, and its key; not of the mark, nor of the number of
    the recommendation set, which is there for people to read."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in pairs:
        if isinstance(one, dict | list):
            yield from values_of(one)
        elif key not in (MARK, "set"):
            yield value, key


def one_change(kept: Kept, chance: random.Random) -> None:
    """Make one value of what a decision keeps another."""
    places = [place for part in (kept.inputs, kept.reasons, kept.seen) for place in values_of(part)]
    holder, key = chance.choice(places)
    one = holder[key]
    holder[key] = (not one) if isinstance(one, bool) else one + 1 if isinstance(one, int | float) else f"{one}~"


def changed_replays(rows: Sequence[Decision]) -> Counter[str]:
    """How decisions come out of which one stored value is another."""
    chance = random.Random(6)
    states: Counter[str] = Counter()
    opened = decisions_open(rows)
    for row in rows:
        kept = opened[row.pk]
        assert kept is not None
        one_change(kept, chance)
        states[recorded_replay(recorded_of(row), kept).state] += 1
    return states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=10_000)
    size = parser.parse_args().decisions
    told("goods, a playbook, people …")
    playbook = shop_make()
    people_make(size)
    told(f"deciding for {size:,} people …")
    run = run_start(playbook_id=playbook.pk, occasion_key="bench-replay", trigger="hand")
    run_plan(run_id=run.pk)
    began = time.process_time()
    run_decide(run_id=run.pk)
    deciding = time.process_time() - began
    rows = rows_of(run)
    told("changing everything, publishing newer versions …")
    everything_change(playbook)
    told(f"computing {len(rows):,} decisions again …")
    rows = rows_of(run)  # as somebody reads them who comes later
    states, seconds = replays(rows)
    changed = changed_replays(rows[:: max(1, len(rows) // CHANGED)][:CHANGED])
    figures = {
        "decisions": len(rows),
        "to_send": sum(row.outcome == "send" for row in rows),
        "tiers": dict(sorted(Counter(row.tier for row in rows if row.tier).items())),
        "published_since": VERSIONS,
        "same": states["same"],
        "not_same": len(rows) - states["same"],
        "cpu_us_each": round(seconds / max(len(rows), 1) * 1e6, 1),
        "cpu_us_deciding": round(deciding / max(len(rows), 1) * 1e6, 1),
        "changed": changed.total(),
        "changed_and_same": changed["same"],
        "bytes_each": round(sum(len(row.sealed) for row in rows) / max(len(rows), 1), 1),
    }
    targets = {"decisions": size, "not_same": 0, "changed_and_same": 0, "bytes_each": 1024}
    met = {
        "decisions": figures["decisions"] >= size,
        **{name: figures[name] <= targets[name] for name in ("not_same", "changed_and_same", "bytes_each")},
    }
    print(json.dumps({"name": "replay", "figures": figures, "targets": targets, "met": met}))


if __name__ == "__main__":
    main()
