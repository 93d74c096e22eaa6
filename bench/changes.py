"""What the feed of changes costs: people written by the hundred thousand, with its triggers and without.

usage: bin/bench changes [people] [rounds]

As an import writes them: one statement for people, one for the address and one for the phone of each, in one
transaction; with the triggers that note who changed and with them switched off, in turns, medians over rounds. Then
what it costs to give these changes their places, and to read the whole feed in parts of 1,000.
"""

# ruff: noqa: E402  # Django is set up before the apps are imported
import json
import os
import sys
import time
from statistics import median

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.db import connection, transaction

from apps.data.profiles.changes import changes_order, changes_reached, changes_read
from apps.data.profiles.models import ChangePending

_TABLES = ("profiles_profile", "profiles_identifier")
_PEOPLE = """
INSERT INTO profiles_profile (first_name, last_name, country, language, time_zone, attributes, source, created_at,
    updated_at)
SELECT 'Ada', 'Lovelace', 'GB', 'en', '', '{}', 'bench', statement_timestamp(), statement_timestamp()
FROM generate_series(1, %s)
"""
_ADDRESSES = """
INSERT INTO profiles_identifier (profile_id, kind, sealed, digest, verified, main, source, created_at)
SELECT id, %s, sha256(id::text::bytea), sha256(('a' || id)::bytea), false, true, 'bench', statement_timestamp()
FROM profiles_profile
"""


def written(people: int, *, triggers: bool) -> float:
    """Seconds to write the people and commit."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE profiles_profile, profiles_changepending, profiles_change CASCADE")
        for table in _TABLES:
            cursor.execute(f"ALTER TABLE {table} {'ENABLE' if triggers else 'DISABLE'} TRIGGER USER")
        begun = time.perf_counter()
        with transaction.atomic():
            cursor.execute(_PEOPLE, [people])
            cursor.execute(_ADDRESSES, ["email"])
            cursor.execute(_ADDRESSES, ["phone"])
        return time.perf_counter() - begun


def ordered() -> tuple[int, float]:
    """How many changes waited, and the seconds to give them their places."""
    waited, begun = ChangePending.objects.count(), time.perf_counter()
    while changes_order(batches=1_000):
        pass
    return waited, time.perf_counter() - begun


def read(after: int) -> float:
    """Seconds to read the feed from a place to its end."""
    begun = time.perf_counter()
    more = True
    while more:
        part = changes_read(after=after, limit=1_000)
        after, more = part.after, part.more
    return time.perf_counter() - begun


def main() -> None:
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    plain, noted, ordering, reading = [], [], [], []
    waited = told = 0
    for _ in range(rounds):
        plain.append(written(people, triggers=False))
        noted.append(written(people, triggers=True))
        place = changes_reached()
        waited, seconds = ordered()
        ordering.append(seconds)
        told = changes_reached() - place
        reading.append(read(place))
        print(f"without {plain[-1]:.2f} s, with {noted[-1]:.2f} s, ordered {ordering[-1]:.2f} s", file=sys.stderr)
    figures = {
        "people": people,
        "without_seconds": round(median(plain), 2),
        "with_seconds": round(median(noted), 2),
        "ratio": round(median(noted) / median(plain), 3),
        "microseconds_a_person": round((median(noted) - median(plain)) / people * 1e6, 2),
        "changes_noted": waited,
        "changes_told": told,
        "ordered_a_second": round(waited / median(ordering)),
        "read_a_second": round(told / median(reading)),
    }
    print(json.dumps({"name": "changes", "figures": figures, "targets": {}, "met": True}))


if __name__ == "__main__":
    main()
