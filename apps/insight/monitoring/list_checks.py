"""The addresses of a list, looked at before it is written to: hours ahead, and once more what is new or stale.

What is found is kept by address (`consent.verdicts`), where the gate asks for it; here is only how far it got, and how
many of which kind there are. Killed anywhere, it goes on from the last portion. DNS is asked by one process at a time,
so many domains a second; what it can't say is never held against an address.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection, transaction

from apps.data.consent.models import AddressVerdict, Channel, Purpose, Suppression
from apps.data.consent.selectors import TRACKING
from apps.data.consent.verdicts import addresses_gone, traps_among, verdicts_keep, verdicts_read
from apps.data.features.selectors import last_seen_read
from apps.data.profiles.address_check import address_facts
from apps.data.profiles.addresses import addresses_open
from apps.data.profiles.mail_hosts import mail_hosts_find
from apps.data.profiles.rules import AddressFacts, Judged, Verdict, address_judge
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_ids
from apps.decisioning.audiences.watching import ENTERED, EXITED
from apps.decisioning.playbooks.contracts import PlaybookSpec
from apps.decisioning.playbooks.models import Playbook, Run
from apps.decisioning.playbooks.schedules import instants
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError

from .models import ListCheck

logger = logging.getLogger(__name__)

PORTION: Final = 1_000
GO_SECONDS: Final = 60.0
"""After so long a look makes room for others; the next tick goes on."""
NO_ADDRESS: Final = "no_address"
_HOLDS_FOR: Final = timedelta(hours=12)
"""What is found shall be good until so long after a run begins: it takes its time."""
_KEPT: Final = timedelta(days=30)
_LOCK: Final = 0x11575
_MONTH: Final = timedelta(days=30)

_ADDRESSES: Final = """
SELECT person.id, held.digest, held.sealed FROM unnest(%s::bigint[]) AS person(id)
LEFT JOIN profiles_identifier AS held ON held.profile_id = person.id AND held.kind = 'email' AND held.main
"""
# of everybody who has such an address: since when they are known, since when their opens and clicks may be followed,
# and when they last chose something
_HOLDERS: Final = """
SELECT held.digest, p.id, p.created_at, followed.changed_at,
       (SELECT max(changed_at) FROM consent_consentstate AS chose WHERE chose.profile_id = p.id)
FROM profiles_identifier AS held JOIN profiles_profile AS p ON p.id = held.profile_id
LEFT JOIN consent_consentstate AS followed
       ON followed.profile_id = p.id AND followed.purpose_id = %s AND followed.channel = 'email' AND followed.granted
WHERE held.kind = 'email' AND held.digest = ANY(%s)
"""


def lists_look(*, at: datetime) -> int:
    """Look at the addresses of runs that come soon. Returns at how many people; 0 while another process does."""
    with _alone() as ours:
        if not ours:
            return 0
        _checks_plan(at)
        ListCheck.objects.filter(due_at__lt=at - _KEPT).delete()
        until, looked = time.monotonic() + GO_SECONDS, 0
        for check in (
            ListCheck.objects.filter(finished_at=None).select_related("playbook__published").order_by("due_at")
        ):
            try:
                looked += _list_look(check, until)
            except DomainError as error:  # one list that can't be read must not keep the others waiting
                logger.error("the addresses of playbook %s can't be looked at: %s", check.playbook_id, error.code)
                ListCheck.objects.filter(pk=check.pk).update(finished_at=now())
            if time.monotonic() > until:
                break
        return looked


def list_check_start(*, playbook_id: int, by: User) -> ListCheck:
    """Have the addresses of a published playbook looked at now. One that is under way is returned.

    Raises NotAllowed, and Conflict for a playbook that goes to no address or is not published.
    """
    playbook = Playbook.objects.select_related("published", "owner").get(pk=playbook_id)
    right_require(by, "run", playbook, what="have the addresses of this playbook looked at")
    if not _writes_to_addresses(playbook):
        raise Conflict("no_list", "Only a published playbook that sends e-mail by consent has a list to look at")
    moving = ListCheck.objects.filter(playbook=playbook, finished_at=None).first()
    return moving or ListCheck.objects.create(playbook=playbook, due_at=now())


def _writes_to_addresses(playbook: Playbook) -> bool:
    spec: PlaybookSpec | None = playbook.published.spec if playbook.published is not None else None
    return (
        spec is not None
        and spec["channel"] == Channel.EMAIL
        and Purpose.objects.filter(pk=spec["purpose"], needs_consent=True).exists()
    )


def _checks_plan(at: datetime) -> None:
    """A look for each scheduled run that comes within the hours, and another one shortly before it."""
    if settings.LIST_CHECK_HOURS <= 0:
        return
    for coming in runs_coming(at):
        if coming.due_at - at > timedelta(hours=settings.LIST_CHECK_HOURS) or not _writes_to_addresses(coming.playbook):
            continue
        ListCheck.objects.get_or_create(playbook=coming.playbook, due_at=coming.due_at)
        again_from = coming.due_at - timedelta(hours=settings.LIST_AGAIN_HOURS)
        if at >= again_from:
            ListCheck.objects.filter(
                playbook=coming.playbook, due_at=coming.due_at, again=False, finished_at__lt=again_from
            ).update(again=True, after=0, counts={}, finished_at=None)


@contextmanager
def _alone() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [_LOCK])
        ours = bool(cursor.fetchone()[0])
    try:
        yield ours
    finally:
        if ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [_LOCK])


def _list_look(check: ListCheck, until: float) -> int:
    """Go on with a look, portion by portion, until it is finished or time is up. Returns at how many people."""
    published = check.playbook.published
    if published is None:  # withdrawn meanwhile: nothing will be sent
        ListCheck.objects.filter(pk=check.pk).update(finished_at=now())
        return 0
    spec: PlaybookSpec = published.spec
    ids = [
        profile_id
        for batch in audience_ids(rule=rule_parse(spec["audience_rule"]), as_of=now(), batch=10_000)
        for profile_id in batch
        if profile_id > check.after
    ]
    counts = Counter(check.counts)
    for place in range(0, len(ids), PORTION):
        portion = ids[place : place + PORTION]
        at = now()
        codes, news = _look_at(portion, at=at, good_at=max(at, check.due_at + _HOLDS_FOR))
        counts.update(codes)
        with transaction.atomic():
            verdicts_keep(news, at=at)
            ListCheck.objects.filter(pk=check.pk).update(after=portion[-1], counts=dict(counts))
        if time.monotonic() > until and place + PORTION < len(ids):
            return place + len(portion)
    ListCheck.objects.filter(pk=check.pk).update(finished_at=now(), found=dict(counts))
    return len(ids)


def _look_at(
    profile_ids: Sequence[int], *, at: datetime, good_at: datetime
) -> tuple[Counter[str], dict[bytes, Judged]]:
    """What is held of these people's addresses: people by code, and what was found anew."""
    with connection.cursor() as cursor:
        cursor.execute(_ADDRESSES, [list(profile_ids)])
        rows = cursor.fetchall()
    held = {person: (bytes(digest), bytes(sealed)) for person, digest, sealed in rows if digest is not None}
    codes = {digest: said.partition(":")[2] for digest, said in verdicts_read(_digests(held), good_at=good_at).items()}
    stale = {person: one for person, one in held.items() if one[0] not in codes}
    opened = addresses_open("email", stale)
    news = _judged({stale[person][0]: address for person, address in opened.items()}, at)
    codes |= {digest: one.code for digest, one in news.items()}
    return Counter(codes.get(held[person][0], "") if person in held else NO_ADDRESS for person in profile_ids), news


def _digests(held: Mapping[int, tuple[bytes, bytes]]) -> list[bytes]:
    return list({digest for digest, _ in held.values()})


def _judged(addresses: Mapping[bytes, str], at: datetime) -> dict[bytes, Judged]:
    """What is held of addresses, by digest. DNS is asked only of those that nothing else speaks against."""
    gone = addresses_gone(list(addresses))
    traps = traps_among({address.rpartition("@")[2] for address in addresses.values()})
    silences = _silences(list(addresses), at)
    facts: dict[bytes, AddressFacts] = {}
    for digest, address in addresses.items():
        facts[digest] = replace(
            address_facts(address),
            bounced=gone.get(digest) == Suppression.Reason.BOUNCE,
            trap=gone.get(digest) == Suppression.Reason.SPAM_TRAP or address.rpartition("@")[2] in traps,
            silent_for=silences.get(digest),
        )
    domains = {
        digest: addresses[digest].rpartition("@")[2]
        for digest, known in facts.items()
        if address_judge(known).verdict != Verdict.REFUSE
    }
    hosts = mail_hosts_find(set(domains.values()), per_second=settings.LIST_DNS_PER_SECOND)
    for digest, domain in domains.items():
        host, age = hosts[domain]
        facts[digest] = replace(facts[digest], host=host, host_age=age)
    months: int = settings.LIST_SILENT_MONTHS
    return {
        digest: address_judge(
            known,
            silent_after=months * _MONTH if months else None,
            silence_refuses=settings.LIST_SILENT_WITHHOLDS,
        )
        for digest, known in facts.items()
    }


def _silences(digests: Sequence[bytes], at: datetime) -> dict[bytes, timedelta]:
    """How long nobody who has an address did anything, nothing where it could not be seen of one of them: who does not
    agree to be followed is not silent, but private.
    """
    if not settings.LIST_SILENT_MONTHS:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, [TRACKING, list(digests)])
        rows = cursor.fetchall()
    seen = last_seen_read(profile_ids=[row[1] for row in rows], but=(ENTERED, EXITED))
    found: dict[bytes, timedelta] = {}
    for raw, person, known_since, followed_since, chose_at in rows:
        digest = bytes(raw)
        if followed_since is None:
            found[digest] = timedelta(0)
            continue
        last = max(one for one in (known_since, followed_since, chose_at, seen.get(person)) if one is not None)
        found[digest] = min(found.get(digest, at - last), at - last)
    return found


# --- shown ---


@dataclass(frozen=True, slots=True)
class Coming:
    """A run that a schedule will start."""

    playbook: Playbook
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of the addresses of a list. people: who were looked at; left_out, with_caution: how many of which
    kind, the most first, in words; under_way: whether it is looked at now; at: when it was last finished."""

    people: int
    left_out: Sequence[tuple[str, int]]
    with_caution: Sequence[tuple[str, int]]
    under_way: bool
    at: datetime | None

    @property
    def out(self) -> int:
        """How many get nothing for it."""
        return sum(count for _, count in self.left_out)


def runs_coming(at: datetime, *, most: int | None = None) -> list[Coming]:
    """The next run of each schedule, the soonest first."""
    scheduled = Playbook.objects.filter(published__spec__trigger=Playbook.Trigger.SCHEDULE).select_related("published")
    found = []
    for playbook in scheduled:
        spec: PlaybookSpec = playbook.published.spec  # type: ignore[union-attr]  # filtered by it
        due_at = next(instants(spec["schedule"], spec["time_zone"], after=at), None)
        if due_at is not None:
            found.append(Coming(playbook, due_at))
    return sorted(found, key=lambda one: (one.due_at, one.playbook.pk))[:most]


def looked_for(playbook_id: int, due_at: datetime) -> Looked | None:
    """What is known of the addresses of a coming run; None where nobody looked yet."""
    check = ListCheck.objects.filter(playbook=playbook_id, due_at=due_at).first()
    return None if check is None else _looked(check)


def looked_lately(playbook_id: int) -> Looked | None:
    """What was last found of the addresses of a playbook."""
    check = ListCheck.objects.filter(playbook=playbook_id).order_by("-due_at").first()
    return None if check is None else _looked(check)


def looked_before(run: Run) -> Looked | None:
    """What was found of the addresses of a run within the day before it began."""
    began: datetime = run.created_at
    checks = ListCheck.objects.filter(playbook=run.playbook_id, due_at__lte=began, due_at__gt=began - timedelta(days=1))
    check = checks.exclude(found=None).order_by("-due_at").first()
    return None if check is None else _looked(check)


def _looked(check: ListCheck) -> Looked:
    found: Mapping[str, int] = check.found if check.found is not None else check.counts
    words = {NO_ADDRESS: "no e-mail address", **dict(AddressVerdict.Code.choices)}
    refused = _refused_codes()

    def told(codes: Sequence[str]) -> list[tuple[str, int]]:
        return sorted(((str(words[code]), found[code]) for code in codes if found.get(code)), key=lambda one: -one[1])

    return Looked(
        people=sum(found.values()),
        left_out=told([code for code in words if code in refused]),
        with_caution=told([code for code in words if code not in refused]),
        under_way=check.finished_at is None,
        at=check.finished_at,
    )


def _refused_codes() -> set[str]:
    """Codes for which somebody gets nothing."""
    cautions = {"role", "no_answer"} | (set() if settings.LIST_SILENT_WITHHOLDS else {"silent"})
    return {NO_ADDRESS, *AddressVerdict.Code.values} - cautions
