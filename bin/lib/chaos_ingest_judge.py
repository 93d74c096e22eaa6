"""What `bin/chaos ingest` needs of the application.

`python -m bin.lib.chaos_ingest_judge make` makes a client of the API and prints its key. `… judge FILE` holds what was
accepted (FILE has a message id on each line) against rows and features, and prints what it found as JSON.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

PEOPLE = 500


def make() -> str:
    """A source of events; its key."""
    from apps.data.events.partitions import partitions_make
    from apps.foundation.core.clock import now
    from tests.surfaces.api.makers import make_asker

    partitions_make(now())
    return make_asker(kind="event_source", per_minute=100_000_000).key


def judge(accepted: list[str]) -> dict[str, int]:
    """How many events were lost, are there twice, or were set aside; and of how many people features differ from what
    the engine makes of their events, one by one."""
    from apps.data.events.models import DeadLetter, Event
    from apps.data.features.definitions import FEATURES
    from apps.data.features.selectors import features_as_of, features_read
    from apps.data.profiles.models import Profile
    from apps.foundation.core.clock import now

    there = Counter(Event.objects.values_list("message_id", flat=True).iterator())
    ids = list(Profile.objects.order_by("pk").values_list("pk", flat=True))
    at = now()
    read = features_read(profile_ids=ids, names=list(FEATURES), as_of=at)
    replayed = features_as_of(moments=[(one, at) for one in ids], names=list(FEATURES))
    views = sum(values["product_views_30d"] for values in read.values())  # type: ignore[misc]  # it is a number
    return {
        "recorded": there.total(),
        "lost": len(set(accepted) - there.keys()),
        "twice": sum(count - 1 for count in there.values()),
        "strange": len(there.keys() - set(accepted)),
        "set_aside": DeadLetter.objects.count(),
        "people": len(ids),
        "views_in_features": int(views),
        "features_unlike_replay": sum(read[one] != values for one, values in zip(ids, replayed, strict=True)),
    }


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    if sys.argv[1] == "make":
        print(make())
    else:
        print(json.dumps(judge(Path(sys.argv[2]).read_text().split())))
