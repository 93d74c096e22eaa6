"""An export holds all that is known of a person, sealed on the disk, and goes after its time."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from apps.data.privacy.exporting import export_ask, export_build, export_fetch, export_of, exports_forget
from apps.data.privacy.files import FORMATS, export_path
from apps.data.privacy.models import ExportFile, RightsRequest
from apps.data.privacy.registry import export_parts
from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import Erased, key_destroy
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import Tampered
from apps.foundation.core.errors import NotFound
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: object, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    return tmp_path


def anna() -> Profile:
    profile = make_profile(
        email="anna@example.com", first_name="Anna", last_name="<b>Huber", attributes={"club": "gold"},
        consent=("marketing",),
    )  # fmt: skip
    identifier_put(profile_id=profile.pk, kind="external_id", value="shop:4711")
    return profile


def built(profile: Profile) -> ExportFile:
    request = export_ask(profile_id=profile.pk, shown_by="the link of a message")
    export_build(request_id=request.pk)
    return export_of(request_id=request.pk, at=now())


def fetched(export: ExportFile, form: str) -> str:
    return b"".join(export_fetch(export=export, form=form)).decode()


def test_the_json_has_every_part_and_what_is_known(folder: Path) -> None:
    make_profile(email="bruno@example.com", first_name="Bruno")
    profile = anna()

    told = json.loads(fetched(built(profile), "json"))

    assert (told["format"], told["profile"]) == ("tessera-export/1", profile.pk)
    assert list(told["parts"]) == [part.name for part in export_parts()]
    assert told["parts"]["profile"]["rows"][0]["last_name"] == "<b>Huber"
    assert {row["value"] for row in told["parts"]["identifiers"]["rows"]} == {"anna@example.com", "shop:4711"}
    assert told["parts"]["attributes"]["rows"] == [{"name": "club", "label": "Club", "value": "gold"}]
    assert [(row["purpose"], row["agreed"]) for row in told["parts"]["consents"]["rows"]] == [("News and offers", True)]
    assert told["parts"]["consent_records"]["rows"][0]["where"] == "test"
    assert "runo" not in json.dumps(told)


def test_every_name_in_a_row_has_words_for_people() -> None:
    told = json.loads(fetched(built(anna()), "json"))

    for name, part in told["parts"].items():
        for row in part["rows"]:
            assert list(row) == list(part["words"]), name


def test_the_page_says_the_same_and_escapes_it() -> None:
    page = fetched(built(anna()), "html")

    assert page.startswith('<!doctype html><html lang="en"')
    assert page.endswith("</main></body></html>")
    assert "&lt;b&gt;Huber" in page
    assert "<b>Huber" not in page
    assert "anna@example.com" in page
    assert "<script" not in page


def test_on_the_disk_nothing_can_be_read_and_a_cut_file_does_not_open(folder: Path) -> None:
    export = built(anna())

    for form in FORMATS:
        raw = export_path(export.pk, form).read_bytes()
        assert b"Anna" not in raw
        assert b"example.com" not in raw
    path = export_path(export.pk, "json")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Tampered):
        fetched(export, "json")


def test_without_the_persons_key_it_is_unreadable() -> None:
    profile = anna()
    export = built(profile)

    key_destroy(profile.pk)

    with pytest.raises(Erased):
        fetched(export, "json")


def test_a_long_export_is_written_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.data.privacy.files._PIECE", 64)
    profile = anna()
    export = built(profile)

    assert json.loads(fetched(export, "json"))["profile"] == profile.pk
    assert export.sizes["json"] > 640


def test_after_its_time_it_is_removed_and_not_found(folder: Path, settings: object) -> None:
    export = built(anna())
    ExportFile.objects.filter(pk=export.pk).update(until=now() - timedelta(seconds=1))
    stray, young = (folder / "exports" / f"{name}.json.sealed" for name in ("left-by-a-crash", "being-written"))
    for path in (stray, young):
        path.write_bytes(b"x")
    os.utime(stray, (0, 0))

    assert exports_forget(now(), 100) == 1
    assert exports_forget(now(), 100) == 0

    assert list((folder / "exports").iterdir()) == [young]
    assert bytes(ExportFile.objects.get(pk=export.pk).key) == b""
    with pytest.raises(NotFound):
        export_of(request_id=export.request_id, at=now())


def test_fetched_by_staff_it_is_in_the_audit_log() -> None:
    by = make_user("administrator")
    export = built(anna())

    b"".join(export_fetch(export=export, form="html", actor=by))

    entry = AuditEntry.objects.get(action="privacy.export.fetched")
    assert (entry.actor, entry.data) == (by, {"format": "html"})
    assert ExportFile.objects.get(pk=export.pk).fetched_at is not None


def test_it_is_built_once_and_asked_for_anew_afterwards() -> None:
    profile = anna()
    first = export_ask(profile_id=profile.pk, shown_by="the link of a message")
    assert export_ask(profile_id=profile.pk, shown_by="the link of a message") == first

    for _ in range(2):
        export_build(request_id=first.pk)
    second = export_ask(profile_id=profile.pk, shown_by="the link of a message")

    assert ExportFile.objects.filter(request=first).count() == 1
    assert RightsRequest.objects.get(pk=first.pk).state == "done"
    assert second != first
