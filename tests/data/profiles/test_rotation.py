"""Changing keys while everything runs."""

import os
import signal
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection, transaction
from pytest_django import Settings

from apps.data.consent.models import ConsentRecord, Suppression
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import consent_grant, suppression_add
from apps.data.profiles import rotation
from apps.data.profiles.addresses import (
    NewIdentifier,
    addresses_read,
    holders_of,
    identifier_put,
    identifiers_add,
)
from apps.data.profiles.models import Identifier, KeyRotation, Profile, ProfileKey
from apps.data.profiles.vault import Erased, key_destroy, vault_open
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import key_make
from apps.foundation.core.signing import address_digest, digest_version
from tests.data.imports.making import run as import_file
from tests.data.imports.making import write
from tests.factories import identifiers_of, make_profile, make_purposes
from tests.preloaded import run, start

NEW_MASTER, NEW_LOOKUP = key_make(), "second-lookup-key-0123456789"


def new_keys(settings: Settings) -> None:
    settings.MASTER_KEYS = {"m2": NEW_MASTER, **settings.MASTER_KEYS}
    settings.LOOKUP_KEYS = {2: NEW_LOOKUP.encode(), **settings.LOOKUP_KEYS}


def only_new_keys(settings: Settings) -> None:
    settings.MASTER_KEYS, settings.LOOKUP_KEYS = {"m2": NEW_MASTER}, {2: NEW_LOOKUP.encode()}


def rotate(*options: str) -> str:
    out = StringIO()
    call_command("keys_rotate", *options, stdout=out)
    return out.getvalue()


def suppressed(profile: Profile) -> bool:
    answer = gate_read(profile_ids=[profile.pk], purpose="transactional", channel="email", needs_consent=False)
    return answer[profile.pk].reason == "suppressed"


@pytest.mark.django_db
def test_afterwards_nothing_needs_the_old_keys(settings: Settings) -> None:
    anna = make_profile(email="anna@example.com")
    identifier_put(profile_id=anna.pk, kind="external_id", value="shop:1")
    suppression_add(kind="email", value="anna@example.com", reason=Suppression.Reason.BOUNCE)
    new_keys(settings)
    assert "master key m1: wraps 1 data keys" in rotate("--report")
    assert "lookup key 1: still needed by 2 identifiers" in rotate("--report")

    said = rotate()

    assert "master key m2: wraps 1 data keys" in said
    assert "lookup keys: nothing needs an older one" in said
    only_new_keys(settings)
    assert addresses_read(profile_ids=[anna.pk], kind="email") == {anna.pk: "anna@example.com"}
    assert holders_of(kind="external_id", value="shop:1") == [anna.pk]
    assert suppressed(anna)
    assert {digest_version(bytes(one)) for one in Identifier.objects.values_list("digest", flat=True)} == {2}


@pytest.mark.django_db
def test_a_suppression_without_a_holder_keeps_its_lookup_key_needed_and_holds_for_who_comes_later(
    settings: Settings,
) -> None:
    suppression_add(kind="email", value="gone@example.com", reason=Suppression.Reason.ERASURE)
    new_keys(settings)

    assert "lookup key 1: still needed by 1 suppressions that stand under no newer version" in rotate()

    back = make_profile(email="gone@example.com")
    assert suppressed(back)
    assert "lookup keys: nothing needs an older one" in rotate()
    assert not suppression_add(kind="email", value="gone@example.com", reason=Suppression.Reason.MANUAL)


@pytest.mark.django_db
def test_a_suppression_holds_for_those_not_brought_over_yet(settings: Settings) -> None:
    anna = make_profile(email="anna@example.com")
    new_keys(settings)

    assert suppression_add(kind="email", value="anna@example.com", reason=Suppression.Reason.COMPLAINT)

    assert suppressed(anna)
    rotate()
    assert suppressed(anna)
    assert Suppression.objects.filter(carried=False).count() == 1


@pytest.mark.django_db
def test_an_import_finds_people_under_the_older_key_and_lifts_no_suppression(
    settings: Settings, tmp_path: "object"
) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    text = "Customer ID,Email,First Name\n1,anna@example.com,{}\n2,new@example.com,New\n"
    import_file(write(folder / "1.csv", text.format("Anna").replace("2,new@example.com,New\n", "")), kind="profiles")
    anna = Profile.objects.get()
    suppression_add(kind="email", value="new@example.com", reason=Suppression.Reason.OPT_OUT)
    suppression_add(kind="email", value="anna@example.com", reason=Suppression.Reason.OPT_OUT)
    new_keys(settings)

    import_file(write(folder / "2.csv", text.format("Anne")), kind="profiles")

    assert Profile.objects.count() == 2
    anna.refresh_from_db()
    assert anna.first_name == "Anne"
    assert identifiers_of(anna) == [("email", "anna@example.com", True), ("external_id", "shopify:1", False)]
    assert all(suppressed(person) for person in Profile.objects.all())


@pytest.mark.django_db
def test_twins_of_two_versions_become_one(settings: Settings) -> None:
    anna = make_profile(email="anna@example.com")
    lookup = settings.LOOKUP_KEYS
    new_keys(settings)
    both, settings.LOOKUP_KEYS = settings.LOOKUP_KEYS, {2: NEW_LOOKUP.encode()}
    identifier_put(profile_id=anna.pk, kind="email", value="anna@example.com", verified=True)
    settings.LOOKUP_KEYS = both
    assert (Identifier.objects.count(), len(lookup)) == (2, 1)

    rotate()

    assert identifiers_of(anna) == [("email", "anna@example.com", True)]
    assert Identifier.objects.get().verified


@pytest.mark.django_db
def test_new_data_keys_seal_everything_and_old_ones_go_an_hour_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, gone = make_profile(email="anna@example.com"), make_profile(email="gone@example.com")
    key_destroy(gone.pk)
    before = vault_open([anna.pk])
    sealed = {one.pk: bytes(one.sealed) for one in Identifier.objects.all()}

    said = rotate("--data-keys")

    assert "old data keys: 1 are kept" in said
    assert sorted(ProfileKey.objects.values_list("profile_id", "version")) == [(anna.pk, 1), (anna.pk, 2), (gone.pk, 1)]
    address = Identifier.objects.get(profile=anna)
    assert bytes(address.sealed)[0] == 2
    assert bytes(Identifier.objects.get(profile=gone).sealed) == sealed[Identifier.objects.get(profile=gone).pk]
    # a batch that began before still reads what was sealed anew
    from apps.data.profiles.lookup import place_of

    place = place_of("email", bytes(address.digest))
    assert before.open(anna.pk, place, bytes(address.sealed)) == b"anna@example.com"
    later = now() + timedelta(hours=2)
    monkeypatch.setattr(rotation, "now", lambda: later)
    assert "1  old data keys let go of" in rotate()
    assert addresses_read(profile_ids=[anna.pk], kind="email") == {anna.pk: "anna@example.com"}
    with pytest.raises(Erased):
        vault_open([gone.pk]).open(gone.pk, place, bytes(address.sealed))
    assert KeyRotation.objects.filter(finished_at=None).count() == 0


@pytest.mark.django_db
def test_an_old_key_with_which_something_is_still_sealed_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = make_profile(email="anna@example.com")
    monkeypatch.setattr(rotation, "_may_change", lambda column: False)
    rotate("--data-keys")
    monkeypatch.setattr(rotation, "now", lambda: now() + timedelta(hours=2))

    said = rotate()

    assert "profiles_identifier.sealed: only the database's owner may seal it anew" in said
    assert addresses_read(profile_ids=[anna.pk], kind="email") == {anna.pk: "anna@example.com"}


@pytest.mark.django_db
def test_without_the_old_master_key_it_says_so_and_changes_nothing(settings: Settings) -> None:
    make_profile(email="anna@example.com")
    before = list(ProfileKey.objects.values_list("wrapped", flat=True))
    only_new_keys(settings)

    with pytest.raises(Exception, match="the master key m1 is not in MASTER_KEYS"):
        rotate()

    assert list(ProfileKey.objects.values_list("wrapped", flat=True)) == before


@pytest.mark.parametrize("people", [600, pytest.param(2_500, marks=pytest.mark.slow)])
def test_under_load_no_read_fails_and_killed_it_goes_on(own_database: str, settings: Settings, people: int) -> None:
    """Readers and writers at work, while a rotation in a process of its own is killed and begun again."""
    with transaction.atomic():
        make_purposes()
        ids = [one.pk for one in Profile.objects.bulk_create([Profile() for _ in range(people)])]
        identifiers_add(NewIdentifier(person, "email", f"p{person}@example.com", main=True) for person in ids)
    suppression_add(kind="email", value=f"p{ids[-1]}@example.com", reason=Suppression.Reason.BOUNCE)
    old = dict(settings.MASTER_KEYS)
    new_keys(settings)
    stop, faults, reads, written = threading.Event(), list[str](), [0], list[tuple[int, str]]()

    def work(what: Callable[[int], None]) -> threading.Thread:
        def loop() -> None:
            at = 0
            try:
                while not stop.is_set():
                    what(at)
                    at += 1
            except Exception as error:  # noqa: BLE001  # whatever it is, it is a failed read
                faults.append(repr(error))
            finally:
                connection.close()

        thread = threading.Thread(target=loop)
        thread.start()
        return thread

    def read(at: int) -> None:
        some = ids[at * 97 % people :][:50]
        found = addresses_read(profile_ids=some, kind="email")
        if found != {person: f"p{person}@example.com" for person in some}:
            faults.append(f"read {len(found)} of {len(some)}")
        if holders_of(kind="email", value=f"p{some[0]}@example.com") != [some[0]]:
            faults.append("a lookup found nobody")
        last = gate_read(profile_ids=ids[-1:], purpose="transactional", channel="email", needs_consent=False)
        if last[ids[-1]].reason != "suppressed":
            faults.append("a suppression was gone")
        reads[0] += 1

    def change(at: int) -> None:
        person = ids[at * 31 % people]
        value = f"extra{at}@example.com"
        identifier_put(profile_id=person, kind="email", value=value)
        written.append((person, value))
        consent_grant(
            profile_id=person, purpose="marketing", channel="email", method=ConsentRecord.Method.API, source="test"
        )

    threads = [work(read), work(change)]
    command = ["manage.py", "keys_rotate", "--data-keys"]
    master = ",".join(f"{name}:{b64encode(key).decode()}" for name, key in {"m2": NEW_MASTER, **old}.items())
    environment = {
        **os.environ,
        "DATABASE_URL": f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{own_database}",
        "MASTER_KEYS": master,
        "LOOKUP_KEYS": f"2:{NEW_LOOKUP},1:{django_settings.ADDRESS_KEY}",
    }
    try:
        for line in (
            "wrapped with the newest",
            "under the newest lookup",
            "sealed with the new",
        ):  # killed in each step
            with start(*command, env=environment, stdout=subprocess.PIPE) as going:
                assert going.stdout is not None
                for said in going.stdout:
                    if line in said:
                        going.send_signal(signal.SIGKILL)
                        break
            assert going.returncode == -signal.SIGKILL
        ended = run(*command, env=environment, timeout=200)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert ended.returncode == 0, ended.stderr
    assert (faults, reads[0] > 5, len(written) > 5) == ([], True, True)
    assert "lookup keys: nothing needs an older one" in ended.stdout
    assert ProfileKey.objects.exclude(master="m2").count() == 0
    assert ProfileKey.objects.filter(version__gt=2).count() == 0  # nobody got two new keys for one rotation
    only_new_keys(settings)
    assert addresses_read(profile_ids=ids, kind="email") == {person: f"p{person}@example.com" for person in ids}
    assert all(person in holders_of(kind="email", value=value) for person, value in written)
    assert Suppression.objects.get(digest=address_digest("email", f"p{ids[-1]}@example.com")).reason == "bounce"
