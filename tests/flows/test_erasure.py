"""A person is erased: canaries planted in every store that holds something of people are in none of them after it.

The stores are read as a dump reads them, every table whole, and so are the files and Redis. The canaries are looked for
before too, so that a test that could not find them would fail.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import LazySettings, settings
from django.db import connection

from apps.data.consent.chain import chain_extend, chain_verify
from apps.data.consent.contracts import Origin
from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import consent_grant
from apps.data.events.models import Event, Order
from apps.data.events.services import event_record
from apps.data.imports.mapping import mapping_parse
from apps.data.imports.models import Import
from apps.data.imports.services import Grant, import_open, import_run
from apps.data.privacy.erasing import erasure_ask, erasure_run
from apps.data.privacy.exporting import export_ask, export_build, export_fetch, export_of
from apps.data.privacy.models import RightsRequest
from apps.data.profiles.addresses import holders_of
from apps.data.profiles.attributes import attributes_read
from apps.data.profiles.models import Profile
from apps.data.profiles.services import attribute_define
from apps.delivery.sending.models import DeliveryAttempt, Message
from apps.delivery.webhooks.models import WebhookEvent
from apps.foundation.core.clock import now
from tests.factories import make_purposes, make_user
from tests.surfaces.ledger import make_decision, make_dispatch, make_run

pytestmark = pytest.mark.django_db

ADDRESS = "kanarienvogel@canary.example"
NAMES = ("Zwitscherina", "Goldfeder")
PHONE = "+436601234987"
NUMBER = "shop:CANARY-4711"
PROPERTY, ATTRIBUTE, DECIDED, NEWS = "canary-looked-at", "canary-known", "canary-decided", "canary-news"
BROWSER, NOTE, RESPONSE = "CanaryBrowser/1", "canary-note-of-staff", "canary-response"
SENSITIVE = "canary-confided"
CANARIES = (
    SENSITIVE,
    ADDRESS,
    *NAMES,
    PHONE,
    "CANARY-4711",
    PROPERTY,
    ATTRIBUTE,
    DECIDED,
    NEWS,
    BROWSER,
    NOTE,
    RESPONSE,
)
IN_CLEAR = {*NAMES, PROPERTY, ATTRIBUTE, NEWS, NOTE, RESPONSE}
"""What stands in a table as it is; the rest is sealed, or in files."""

FILE = f"""number,email,phone,first,last,joined,health
CANARY-4711,{ADDRESS},{PHONE},{NAMES[0]},{NAMES[1]},2026-01-01,{SENSITIVE}
CANARY-4711,{ADDRESS},no phone at all,{NAMES[0]},{NAMES[1]},2026-01-02,{SENSITIVE}
,broken,,{NAMES[0]},{NAMES[1]},2026-01-03,{SENSITIVE}
,bruno@example.com,not a phone,Bruno,Berg,2026-01-04,
"""
MAPPING = {
    "source": "shop",
    "columns": {
        "external_id": "number",
        "email": "email",
        "phone": "phone",
        "first_name": "first",
        "last_name": "last",
    },
    "attributes": {"joined": "joined", "health": "health"},
}


@dataclass
class Stores:
    """Everything that outlives a process, read raw."""

    folder: Path
    logged: list[str] = field(default_factory=list)

    def found(self) -> dict[str, list[str]]:
        """Canary → where it is."""
        hits: dict[str, list[str]] = {}
        for where, content in self._contents():
            for canary in CANARIES:
                if canary.encode() in content or canary.encode().hex().encode() in content:
                    hits.setdefault(canary, []).append(where)
        return hits

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            for (table,) in cursor.fetchall():
                rows = BytesIO()
                cursor.cursor.copy_expert(f'COPY (SELECT * FROM "{table}") TO STDOUT', rows)  # noqa: S608  # our own tables
                yield table, rows.getvalue()
        for path in self.folder.rglob("*"):
            if path.is_file():
                yield f"file {path.name}", path.read_bytes()
        cache = redis.Redis.from_url(settings.REDIS_URL)
        for key in cache.scan_iter(count=1000):
            yield f"redis {key!r}", key + (cache.dump(key) or b"")
        yield "log", "\n".join(self.logged).encode()


@pytest.fixture
def stores(settings: LazySettings, tmp_path: Path) -> Iterator[Stores]:
    settings.DATA_DIR = tmp_path / "data"
    settings.LEDGER_HEADS_DIR = tmp_path / "data" / "heads"
    stores = Stores(tmp_path / "data")

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stores.logged.append(self.format(record))

    handler, root = Kept(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stores
    root.removeHandler(handler)
    root.setLevel(level)


def brought(stores: Stores, name: str) -> Import:
    """The canary file imported, as an upload is, with a grant."""
    path = stores.folder / "uploads" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FILE)
    grant = Grant("marketing", "they ticked the box in the shop", make_user("administrator"))
    job = import_open(kind="profiles", path=path, mapping=mapping_parse(MAPPING, kind="profiles"), grant=grant)
    done = import_run(import_id=job.pk)
    assert done.state == Import.State.DONE, done.problem
    return done


def planted(stores: Stores) -> Profile:
    """A person of whom something is in every store."""
    make_purposes()
    attribute_define(name="health", sensitive=True, by=make_user("administrator"))
    brought(stores, "first.csv")
    (profile_id,) = holders_of(kind="email", value=ADDRESS)
    profile = Profile.objects.get(pk=profile_id)
    Profile.objects.filter(pk=profile_id).update(attributes={"known": ATTRIBUTE})
    event_record(
        profile_id=profile_id, name="Product Viewed", message_id="e1", occurred_at=now(), properties={"q": PROPERTY}
    )
    Order.objects.create(source="shop", external_id="1", profile=profile, status="purchase", placed_at=now())
    consent_grant(
        profile_id=profile_id, purpose="personalisation", channel=Channel.EMAIL,
        method=ConsentRecord.Method.PREFERENCES, source="page", origin=Origin("203.0.113.9", BROWSER),
    )  # fmt: skip
    run = make_run()
    kept: dict[str, Any] = {
        "inputs": {
            "language": "en",
            "profile": {"first_name": NAMES[0], "x": DECIDED, "health": SENSITIVE},
            "slots": {},
        }
    }
    decision = make_decision(run=run, profile=profile, **kept)
    sent = Message.objects.create(
        id=decision.pk, dispatch=make_dispatch(run), profile=profile, purpose="marketing", channel="email",
        state="bounced", address_digest=b"d" * 32, sending_at=now(), finished_at=now(),
    )  # fmt: skip
    DeliveryAttempt.objects.create(message=sent, number=1, started_at=now(), outcome="refused", response=RESPONSE)
    Message.objects.create(
        id=make_decision(run=make_run(), profile=profile, **kept).pk, dispatch=make_dispatch(make_run()),
        profile=profile, purpose="marketing", channel="email",
    )  # fmt: skip
    WebhookEvent.objects.create(kind="consent.changed", payload={"data": {"profile": profile_id, "x": NEWS}})
    export_build(request_id=export_ask(profile_id=profile_id, shown_by=NOTE, actor=make_user("administrator")).pk)
    return profile


def test_nothing_of_an_erased_person_is_left_anywhere(stores: Stores) -> None:
    profile = planted(stores)
    chain_extend()
    before = stores.found()
    assert set(before) >= IN_CLEAR, "the canaries that stand in clear are found while they are there"
    assert any("uploads" in place or "first.csv" in place for place in before[ADDRESS])
    assert any("errors" in place for place in before[NAMES[0]])
    assert all("first.csv" in place for place in before[SENSITIVE]), "but for the file as it was brought"
    assert attributes_read(profile_id=profile.pk)["health"] == SENSITIVE

    request = erasure_ask(profile_id=profile.pk, shown_by="a fresh link", sure=True)
    erasure_run(request_id=request.pk)
    chain_extend()

    assert stores.found() == {}
    assert RightsRequest.objects.get(pk=request.pk).state == "done"
    assert not Event.objects.filter(profile=profile).exists()
    assert Order.objects.get().profile_id is None
    assert Message.objects.filter(profile=profile).exclude(address_digest=None).count() == 0
    assert set(Message.objects.filter(profile=profile).values_list("state", flat=True)) == {"bounced", "cancelled"}
    verified = chain_verify()
    assert (verified.faults, verified.records > 0) == ([], True)
    assert "Bruno" in (stores.folder / "imports").glob("*.csv").__next__().read_text()


def test_the_export_of_that_person_tells_all_of_it_and_nothing_of_others(stores: Stores) -> None:
    profile = planted(stores)
    request = RightsRequest.objects.get(profile=profile, kind="export")

    pieces = export_fetch(export=export_of(request_id=request.pk, at=now()), form="json")
    text = b"".join(pieces).decode()

    told = json.loads(text)["parts"]
    for name, part in told.items():
        for row in part["rows"]:
            assert list(row) == list(part["words"]), name
    for canary in (SENSITIVE, ADDRESS, *NAMES, PHONE, NUMBER, PROPERTY, ATTRIBUTE, DECIDED, BROWSER):
        assert canary in text, canary
    assert [row["agreed"] for row in told["consents"]["rows"]] == [True, True]
    assert len(told["messages"]["rows"]) == 2
    assert len(told["orders"]["rows"]) == 1
    assert "Bruno" not in text
    assert "bruno" not in text


def test_a_new_import_of_the_same_address_stays_suppressed(stores: Stores) -> None:
    profile = planted(stores)
    erasure_run(request_id=erasure_ask(profile_id=profile.pk, shown_by="a fresh link", sure=True).pk)

    (stores.folder / "uploads" / "again.csv").parent.mkdir(exist_ok=True)
    path = stores.folder / "uploads" / "again.csv"
    path.write_text(FILE + ",cleo@example.com,,Cleo,Cat,2026-02-02,\n")
    grant = Grant("marketing", "they ticked the box in the shop", make_user("administrator"))
    job = import_open(kind="profiles", path=path, mapping=mapping_parse(MAPPING, kind="profiles"), grant=grant)
    assert import_run(import_id=job.pk).state == Import.State.DONE

    (new,) = holders_of(kind="email", value=ADDRESS)
    (cleo,) = holders_of(kind="email", value="cleo@example.com")
    answers = gate_read(profile_ids=[new, cleo], purpose="marketing", channel=Channel.EMAIL)
    assert new != profile.pk
    assert (answers[new].allowed, answers[new].reason) == (False, "suppressed")
    assert answers[cleo].allowed
    assert Profile.objects.get(pk=profile.pk).first_name == ""
