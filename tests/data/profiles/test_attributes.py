"""Attributes of people: defined, written, sealed where they are sensitive, opened, and moved while everything runs."""

import os
import signal
import subprocess
import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from pytest_django import Settings

from apps.data.profiles import attribute_moving
from apps.data.profiles.attribute_moving import values_left, values_move
from apps.data.profiles.attributes import attributes_put, attributes_read, attributes_shown, shapes_read, values_read
from apps.data.profiles.models import AttributeDefinition, AttributeSeen, Profile, ProfileKey, SealedAttribute
from apps.data.profiles.registry import sensitive_objections
from apps.data.profiles.services import attribute_change, attribute_define, attribute_open
from apps.data.profiles.vault import key_destroy
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import key_make
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.core.signing import digest_version
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_profile, make_user
from tests.preloaded import start
from tests.storage import found_in_tables

pytestmark = pytest.mark.django_db
SECRET = "kanarienfieber"


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else reads definitions here."""
    monkeypatch.setattr(attribute_moving, "GRACE", attribute_moving.GRACE * 0)


def define(name: str, *, by: User | None = None, **fields: Any) -> AttributeDefinition:
    return attribute_define(name=name, by=by or make_user("administrator"), **fields)


def change(row: AttributeDefinition, by: User | None = None, **fields: Any) -> AttributeDefinition:
    row.refresh_from_db()
    names = (
        "kind",
        "labels",
        "description",
        "required",
        "sensitive",
        "correctable",
        "allowed",
        "fallback",
        "fresh_days",
    )
    said = {name: getattr(row, name) for name in names} | fields
    return attribute_change(definition_id=row.pk, by=by or make_user("administrator"), **said)


# --- definitions ---


def test_a_definition_is_data_and_the_audit_log_has_it() -> None:
    row = define(
        "diet", kind="choice", allowed=["vegan", " any "], fallback="any", fresh_days=30,
        labels={"de": " Ernährung ", "fr": ""},
    )  # fmt: skip

    assert (row.allowed, row.fallback, row.labels) == (["vegan", "any"], "any", {"de": "Ernährung"})
    assert (row.label_in("de-at"), row.label_in("fr"), row.owner.groups.get().name) == (
        "Ernährung",
        "Diet",
        "administrator",
    )
    entry = AuditEntry.objects.get(action="profiles.attribute.defined")
    assert (entry.object_label, entry.data["fresh_days"]) == ("diet", 30)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "country"}, "name"), ({"name": " "}, "name"), ({"kind": "map"}, "kind"),
        ({"kind": "choice"}, "allowed"),
        ({"kind": "number", "allowed": ["1"]}, "allowed"), ({"kind": "number", "fallback": "many"}, "fallback"),
        ({"labels": {"?": "x"}}, "labels"), ({"labels": {"de": "x" * 81}}, "labels"), ({"fresh_days": 0}, "fresh_days"),
    ],
)  # fmt: skip
def test_what_no_definition_can_be_is_refused_with_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as fault:
        define(**{"name": "thing", **fields})

    assert fault.value.extra == {"field": field}
    assert not AttributeDefinition.objects.exists()


def test_who_may_not_changes_nothing() -> None:
    row = define("diet")

    publisher = make_user("publisher")
    with pytest.raises(NotAllowed):
        define("other", by=publisher)
    with pytest.raises(NotAllowed):
        change(row, by=publisher, required=True)
    with pytest.raises(NotAllowed):
        attribute_open(definition_id=row.pk, by=publisher, name="diet")
    assert AttributeDefinition.objects.filter(required=False, moving="").count() == 1


def test_one_name_is_defined_once_and_somebody_elses_change_is_not_lost() -> None:
    row = define("diet")
    with pytest.raises(Conflict, match="is defined already"):
        define("diet")
    seen_at = row.updated_at
    change(row, description="theirs", seen_at=seen_at)
    with pytest.raises(Conflict, match="Somebody else"):
        change(row, description="mine", seen_at=seen_at)
    row.refresh_from_db()
    assert row.description == "theirs"


# --- writing and reading ---


def test_values_come_in_by_their_kind_undefined_ones_as_they_are_and_all_are_reported() -> None:
    define("age", kind="number")
    profile = make_profile()

    changed = attributes_put(profile_id=profile.pk, values={"age": "30", "hat": " big  one "}, source="crm")

    assert changed == ["age", "hat"]
    assert Profile.objects.get(pk=profile.pk).attributes == {"age": 30, "hat": "big one"}
    assert dict(AttributeSeen.objects.values_list("name", "source")) == {"age": "crm", "hat": "crm"}
    assert attributes_put(profile_id=profile.pk, values={"age": 30, "hat": ""}) == ["hat"]
    assert attributes_read(profile_id=profile.pk) == {"age": 30}


def test_what_does_not_fit_changes_nothing_and_names_itself_not_the_value() -> None:
    define("age", kind="number", sensitive=True)
    define("plan", required=True)
    profile = make_profile(attributes={"plan": "a"})

    with pytest.raises(Invalid) as fault:
        attributes_put(profile_id=profile.pk, values={"age": SECRET, "plan": "", "hat": "x", "country": "AT"})

    assert fault.value.extra["faults"] == {
        "age": "must be a number such as 12.5",
        "plan": "is required: it can't be emptied",
        "country": "is a field of the profile itself, and no attribute",
    }
    assert SECRET not in fault.value.message
    assert attributes_read(profile_id=profile.pk) == {"plan": "a"}
    # but one who takes what fits gets that
    assert attributes_put(profile_id=profile.pk, values={"age": SECRET, "hat": "x"}, only_fitting=True) == ["hat"]


def test_a_sensitive_value_is_in_no_table_and_read_where_it_is_asked_for() -> None:
    define("illness", sensitive=True, labels={"de": "Krankheit"})
    profile, other = make_profile(), make_profile()

    attributes_put(profile_id=profile.pk, values={"illness": SECRET, "hat": SECRET + "-hat"})

    assert found_in_tables(SECRET + "-hat") == {"profiles_profile": 1}  # the search can find what is clear
    assert Profile.objects.get(pk=profile.pk).attributes == {"hat": SECRET + "-hat"}
    assert values_read(profile_ids=[profile.pk, other.pk, 0], names=["illness", "hat"], columns=["country"]) == {
        profile.pk: {"country": "", "illness": SECRET, "hat": SECRET + "-hat"},
        other.pk: {"country": "", "illness": None, "hat": None},
    }
    assert [(one.name, one.value) for one in attributes_shown(profile_id=profile.pk, whole=False)] == [
        ("hat", SECRET + "-hat"), ("illness", ""),
    ]  # fmt: skip
    assert [one.value for one in attributes_shown(profile_id=profile.pk, whole=True)][1] == SECRET
    assert attributes_put(profile_id=profile.pk, values={"illness": SECRET}) == []
    assert attributes_put(profile_id=profile.pk, values={"illness": None}) == ["illness"]
    assert not SealedAttribute.objects.exists()


def test_every_kind_comes_back_as_it_was() -> None:
    said = {
        "t": ("text", "ä\"'{}\\"), "n": ("number", -1.5), "b": ("bool", False), "d": ("date", "2026-01-31"),
        "m": ("datetime", "2026-01-31T08:00:00Z"), "l": ("texts", ["a", "b, c"]),
    }  # fmt: skip
    by = make_user("administrator")
    for name, (kind, _value) in said.items():
        define(name, by=by, kind=kind, sensitive=True)
    profile = make_profile()

    attributes_put(profile_id=profile.pk, values={name: value for name, (_kind, value) in said.items()})

    assert attributes_read(profile_id=profile.pk) == {name: value for name, (_kind, value) in said.items()}
    assert Profile.objects.get(pk=profile.pk).attributes == {}


def test_a_value_put_elsewhere_or_changed_is_not_read(caplog: pytest.LogCaptureFixture) -> None:
    define("a", sensitive=True)
    define("b", sensitive=True)
    anna, bo = make_profile(), make_profile()
    attributes_put(profile_id=anna.pk, values={"a": SECRET, "b": "other"})
    attributes_put(profile_id=bo.pk, values={"a": "x"})
    sealed = SealedAttribute.objects.get(profile=anna, definition__name="a").sealed

    SealedAttribute.objects.filter(profile=bo).update(sealed=sealed)
    SealedAttribute.objects.filter(profile=anna, definition__name="b").update(sealed=sealed)

    assert attributes_read(profile_id=bo.pk) == {}
    assert attributes_read(profile_id=anna.pk) == {"a": SECRET}
    assert caplog.text.count("does not open: Tampered") == 2
    assert SECRET not in caplog.text


def test_nothing_is_written_of_who_is_gone_erased_or_restricted() -> None:
    define("a", sensitive=True)
    erased, restricted = make_profile(erased_at=now()), make_profile(restricted_at=now())

    with pytest.raises(NotFound):
        attributes_put(profile_id=0, values={"a": "x"})
    with pytest.raises(Conflict, match="erased"):
        attributes_put(profile_id=erased.pk, values={"a": "x"})
    with pytest.raises(Conflict, match="restricted"):
        attributes_put(profile_id=restricted.pk, values={"a": "x"})
    assert not SealedAttribute.objects.exists()
    assert attributes_put(profile_id=restricted.pk, values={"a": "x"}, correcting=True) == ["a"]


def test_the_keys_of_a_batch_are_read_once_and_not_at_all_without_anything_sealed(
    django_assert_num_queries: Any,
) -> None:
    define("a", sensitive=True)
    define("b", sensitive=True)
    people = [make_profile(attributes={"hat": "x"}) for _ in range(3)]
    with django_assert_num_queries(1):
        values_read(profile_ids=[one.pk for one in people], names=["a", "b", "hat"])
    for one in people:
        attributes_put(profile_id=one.pk, values={"a": "1", "b": "2"})
    with django_assert_num_queries(2):
        found = values_read(profile_ids=[one.pk for one in people], names=["a", "b", "hat"])
    assert found == {one.pk: {"a": "1", "b": "2", "hat": "x"} for one in people}


# --- becoming sensitive, and the other way ---


def test_becoming_sensitive_seals_what_is_there_by_its_kind_and_drops_nothing() -> None:
    people = [make_profile(attributes={"age": value, "hat": "x"}) for value in ("30", 31.5, SECRET, "", None, ["a"])]
    row = define("age", kind="number")
    change(row, sensitive=True)
    assert values_left() == {row.pk: "age"}
    assert attributes_read(profile_id=people[2].pk) == {"age": SECRET, "hat": "x"}  # readable all the while

    assert values_move(definition_id=row.pk) == 4

    assert found_in_tables(SECRET) == {}
    assert [attributes_read(profile_id=one.pk).get("age") for one in people] == [30, 31.5, SECRET, None, None, ["a"]]
    assert {tuple(one.attributes) for one in Profile.objects.all()} == {("hat",)}
    row.refresh_from_db()
    assert (row.sensitive, row.moving, row.moved) == (True, "", 4)
    assert values_move(definition_id=row.pk) == 0
    assert AuditEntry.objects.filter(action="profiles.attribute.sealed").count() == 1


def test_what_comes_in_while_values_are_sealed_is_sealed_and_stays() -> None:
    profile = make_profile(attributes={"age": "old"})
    row = define("age", sensitive=True)

    attributes_put(profile_id=profile.pk, values={"age": "new"})
    assert Profile.objects.get(pk=profile.pk).attributes == {}
    Profile.objects.filter(pk=profile.pk).update(attributes={"age": "old"})  # as an older writer would
    values_move(definition_id=row.pk)

    assert attributes_read(profile_id=profile.pk) == {"age": "new"}


def test_who_was_erased_gets_nothing_sealed() -> None:
    profile = make_profile(attributes={"age": SECRET})
    row = define("age", sensitive=True)
    key_destroy(profile.pk)

    assert values_move(definition_id=row.pk) == 0
    assert found_in_tables(SECRET) == {}


def test_clear_again_only_by_a_step_of_its_own() -> None:
    row = define("illness", sensitive=True)
    values_move(definition_id=row.pk)
    profile = make_profile()
    attributes_put(profile_id=profile.pk, values={"illness": SECRET})

    with pytest.raises(Conflict, match="a step of its own"):
        change(row, sensitive=False)
    with pytest.raises(Conflict, match="the type stays"):
        change(row, kind="number")
    with pytest.raises(Invalid, match="not the name"):
        attribute_open(definition_id=row.pk, by=make_user("administrator"), name="ilness")
    assert found_in_tables(SECRET) == {}

    attribute_open(definition_id=row.pk, by=make_user("administrator"), name="illness")
    assert shapes_read(["illness"])["illness"].sensitive  # to the last
    assert values_move(definition_id=row.pk) == 1

    assert not shapes_read(["illness"])["illness"].sensitive
    assert Profile.objects.get(pk=profile.pk).attributes == {"illness": SECRET}
    assert not SealedAttribute.objects.exists()
    actions = (
        AuditEntry.objects.filter(action__startswith="profiles.attribute")
        .order_by("pk")
        .values_list("action", flat=True)
    )
    assert list(actions) == [f"profiles.attribute.{what}" for what in ("defined", "sealed", "opened", "cleared")]


def test_it_does_not_become_sensitive_while_a_rule_asks_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    row = define("age")
    monkeypatch.setattr("apps.data.profiles.services.sensitive_objections", [lambda name: [f"the rule of {name}"]])
    with pytest.raises(Conflict, match="Change first: the rule of age"):
        change(row, sensitive=True)
    row.refresh_from_db()
    assert not row.sensitive
    assert len(sensitive_objections) == 2  # of audiences and of playbooks


@pytest.mark.django_db(transaction=True)
def test_sealing_that_is_killed_goes_on_and_loses_nothing() -> None:
    count = 1_500
    Profile.objects.bulk_create(Profile(attributes={"code": f"{SECRET}-{number}"}) for number in range(count))
    define("code", sensitive=True)
    with transaction.atomic():
        Profile.objects.select_for_update().get(pk=Profile.objects.order_by("pk")[600].pk)  # the second batch waits
        command = start(
            "manage.py", "attributes_seal", env={**os.environ, "DATABASE_URL": _url()}, stdout=subprocess.PIPE
        )
        assert command.stdout is not None
        assert command.stdout.readline() == "500  values of code\n"
        command.send_signal(signal.SIGKILL)
        command.wait(30)
    assert SealedAttribute.objects.count() == 500
    out = StringIO()
    call_command("attributes_seal", stdout=out)
    assert out.getvalue().endswith("code: done, 1,000 values\nnothing is left to seal or open\n")
    assert found_in_tables(SECRET) == {}
    values = values_read(profile_ids=list(Profile.objects.values_list("pk", flat=True)), names=["code"])
    assert sorted(one["code"] for one in values.values()) == sorted(f"{SECRET}-{number}" for number in range(count))


@pytest.mark.django_db(transaction=True)
def test_sealing_waits_for_who_began_to_write_before_it_was_sensitive() -> None:
    profile = make_profile()
    by = make_user("administrator")
    read, go = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            shapes_read(["age"], locked=True)  # nobody defined it
            read.set()
            go.wait(30)
            Profile.objects.filter(pk=profile.pk).update(attributes={"age": SECRET})
        connection.close()

    def seal() -> None:
        values_move(definition_id=row.pk)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert read.wait(30)
    row = define("age", by=by, sensitive=True)
    sealer = threading.Thread(target=seal)
    sealer.start()
    sealer.join(0.5)
    assert sealer.is_alive()
    go.set()
    writer.join(30)
    sealer.join(30)

    assert found_in_tables(SECRET) == {}
    assert attributes_read(profile_id=profile.pk) == {"age": SECRET}


def _url() -> str:
    known = connection.settings_dict
    return f"postgres://{known['USER']}:{known['PASSWORD']}@{known['HOST']}:{known['PORT']}/{known['NAME']}"


# --- keys ---


def test_new_keys_of_all_kinds_and_no_read_fails(settings: Settings) -> None:
    define("illness", sensitive=True)
    define("codes", sensitive=True, kind="texts")
    profile = make_profile()
    attributes_put(profile_id=profile.pk, values={"illness": SECRET, "codes": ["a"]})

    settings.MASTER_KEYS = {"m2": key_make(), **settings.MASTER_KEYS}
    settings.LOOKUP_KEYS = {2: b"second-lookup-key-0123456789", **settings.LOOKUP_KEYS}
    assert attributes_read(profile_id=profile.pk) == {"illness": SECRET, "codes": ["a"]}
    before = {row.definition_id: bytes(row.sealed) for row in SealedAttribute.objects.all()}
    out = StringIO()
    call_command("keys_rotate", "--data-keys", stdout=out)

    settings.MASTER_KEYS = {"m2": settings.MASTER_KEYS["m2"]}
    settings.LOOKUP_KEYS = {2: settings.LOOKUP_KEYS[2]}
    ProfileKey.objects.filter(profile=profile, version=1).delete()  # as an hour later
    assert attributes_read(profile_id=profile.pk) == {"illness": SECRET, "codes": ["a"]}
    rows = list(SealedAttribute.objects.all())
    assert all(bytes(row.sealed) != before[row.definition_id] and bytes(row.sealed)[0] == 2 for row in rows)
    assert sorted(digest_version(bytes(row.digest)) for row in rows if row.digest) == [2]
    assert "1  sensitive attributes under the newest lookup key" in out.getvalue()
    assert "lookup keys: nothing needs an older one" in out.getvalue()


def test_what_still_needs_an_older_lookup_key_is_reported(settings: Settings) -> None:
    define("illness", sensitive=True)
    attributes_put(profile_id=make_profile(email=None).pk, values={"illness": SECRET})
    settings.LOOKUP_KEYS = {2: b"second-lookup-key-0123456789", **settings.LOOKUP_KEYS}
    out = StringIO()
    call_command("keys_rotate", "--report", stdout=out)
    assert "lookup key 1: still needed by 1 sensitive attributes" in out.getvalue()
