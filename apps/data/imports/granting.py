"""Recording the grants of an import: some thousands of people in a transaction, together with how far it came.

Large imports are granted in several lanes at once: each has a range of profiles of its own, and a connection of its
own. Gates are taken in the order of their people, and what lanes have in common, the import's row, each takes last: so
they neither wait for each other long nor meet anybody in a ring.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count, pairwise
from threading import Event
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from apps.data.consent.chain import chain_extend_soon, records_link
from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import GrantsReady, grants_prepare, grants_record
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict
from apps.foundation.core.postgres import commit_lazily

from .mapping import Mapping
from .models import Import
from .selectors import grants_next, people_range

_GRANTS: Final = 2_000
_ON_DISK: Final = 10
"""Of so many transactions of a lane one is answered only once it is on the disk, with all before it: the head of the
ledger is kept with it."""
_LANES_FROM: Final = 50_000
"""People of an import from which on it is granted in lanes."""
# The place before is a fence: whoever lost the import meanwhile must not count what another one recorded.
_CAME: Final = """
UPDATE imports_import SET
  progress = jsonb_set(progress, ARRAY['granted', %(purpose)s, %(lane)s, '0'], to_jsonb(%(last)s::bigint)),
  counts = jsonb_set(counts, ARRAY['consents', %(purpose)s],
    to_jsonb(coalesce((counts #>> ARRAY['consents', %(purpose)s])::bigint, 0) + %(recorded)s)),
  updated_at = statement_timestamp()
WHERE id = %(import)s AND progress #>> ARRAY['granted', %(purpose)s, %(lane)s, '0'] = %(before)s::text
"""


class _Wanted(NamedTuple):
    """A purpose that is granted: who vouches, and whether a column says who agreed."""

    purpose: str
    evidence: str
    actor: User | None
    by_column: bool


def grants_give(job: Import, mapping: Mapping) -> None:
    """Record the grants of an import, from where it was left."""
    for wanted in _wanted(job, mapping):
        lanes = _lanes(job, wanted.purpose)
        _run(job, wanted, lanes)
        job.refresh_from_db(fields=["progress", "counts"])


def _wanted(job: Import, mapping: Mapping) -> list[_Wanted]:
    found = []
    if grant := job.consent.get("grant"):
        by = User.objects.filter(pk=grant["by"]).first()
        found.append(_Wanted(grant["purpose"], grant["evidence"], by, by_column=False))
    for purpose, column in mapping.consent.items():
        evidence = f"The column “{column}” of the file {job.file_name} (import {job.pk}) says so"
        found.append(_Wanted(purpose, evidence, job.created_by, by_column=True))
    return found


def _lanes(job: Import, purpose: str) -> list[list[int]]:
    """Of each lane, behind which profile it goes on and up to which it goes; as they were kept, or new ones."""
    granted = job.progress.get("granted", {})
    if purpose not in granted:
        first, last, lines = people_range(job.pk)
        # one more than processors, for whoever waits for another's links
        lanes = settings.IMPORT_PROCESSES + 1 if lines >= _LANES_FROM else 1
        ends = [first - 1 + (last - first + 1) * lane // lanes for lane in range(lanes + 1)]
        granted = {**granted, purpose: [list(lane) for lane in pairwise(ends)]}
        job.progress = {**job.progress, "granted": granted}
        job.counts = {"consents": {}, **job.counts}
        job.save(update_fields=["progress", "counts"])
    found: list[list[int]] = granted[purpose]
    return found


def _run(job: Import, wanted: _Wanted, lanes: list[list[int]]) -> None:
    """Go along all lanes, the first one here. What goes wrong in one stops the others behind their batch."""
    stopped = Event()

    def along(lane: int) -> None:
        try:
            _along(job, wanted, lane, lanes[lane], stopped)
        except BaseException:
            stopped.set()
            raise

    def beside(lane: int) -> None:
        try:
            along(lane)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(lanes), thread_name_prefix="grants") as others:
        running = [others.submit(beside, lane) for lane in range(1, len(lanes))]
        along(0)
        for other in running:
            other.result()


def _along(job: Import, wanted: _Wanted, lane: int, ends: list[int], stopped: Event) -> None:
    after, until = ends
    following = partial(grants_next, job=job, purpose=wanted.purpose, by_column=wanted.by_column, until=until)
    prepare: Callable[..., GrantsReady] = partial(
        grants_prepare,
        purpose=wanted.purpose,
        channel=Channel.EMAIL,
        method=ConsentRecord.Method.IMPORT,
        source=f"import {job.pk}: {job.file_name}"[:200],
        evidence=wanted.evidence,
        actor=wanted.actor,
    )
    with ThreadPoolExecutor(1, thread_name_prefix="seals") as sealing:
        people = following(after=after, limit=_GRANTS)
        ready = sealing.submit(prepare, grants=people)
        for turn in count(1):
            if not people or stopped.is_set():
                break
            # the next are sealed while these are recorded
            now_ready, last = ready.result(), people[-1][0]
            people = following(after=last, limit=_GRANTS)
            ready = sealing.submit(prepare, grants=people)
            on_disk = turn % _ON_DISK == 0 or not people
            with transaction.atomic():
                if not on_disk:
                    commit_lazily()
                recorded = grants_record(
                    now_ready,
                    note=partial(records_link, on_disk=on_disk),
                    link=chain_extend_soon if on_disk else lambda: None,
                )
                _came(job, wanted.purpose, lane, after, last, recorded)
            after = last


def _came(job: Import, purpose: str, lane: int, before: int, last: int, recorded: int) -> None:
    terms: dict[str, Any] = {
        "import": job.pk, "purpose": purpose, "lane": str(lane), "before": before, "last": last, "recorded": recorded,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_CAME, terms)
        if cursor.rowcount != 1:
            raise Conflict("import_taken_over", "Another process took this import over")
