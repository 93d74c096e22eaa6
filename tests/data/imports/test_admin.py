"""Imports in the admin."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.data.consent.models import ConsentRecord
from apps.data.imports.models import Import
from apps.data.imports.services import name_clean
from apps.data.imports.tasks import import_work
from apps.data.profiles.models import Profile
from tests.factories import make_profile, make_user

from .making import SHOPIFY_CUSTOMERS

pytestmark = pytest.mark.django_db
ADD = reverse("admin:imports_import_add")


@pytest.fixture(autouse=True)
def woken(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The imports that a worker was woken for."""
    settings.DATA_DIR = tmp_path / "data"
    found: list[int] = []
    monkeypatch.setattr(import_work, "apply_async", lambda args, retry: found.append(args[0]))
    return found


def form(**fields: Any) -> dict[str, Any]:
    name, content = fields.pop("name", "people.csv"), fields.pop("content", SHOPIFY_CUSTOMERS)
    return {
        "file": SimpleUploadedFile(name, content.encode()),
        "kind": "profiles",
        "preset": "shopify",
        "consent": "none",
        **fields,
    }


def page(job: Import) -> str:
    return reverse("admin:imports_import_change", args=[job.pk])


def test_a_file_is_brought_in_and_its_page_shows_what_was_in_it(
    client: Client, woken: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    by = make_user("administrator")
    client.force_login(by)
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(
            ADD, form(consent="grant", purpose="marketing", evidence="Newsletter form of the shop, since 2019")
        )

    job = Import.objects.get()
    assert answer["Location"] == page(job)
    assert woken == [job.pk]
    assert (job.state, job.created_by, job.file_name) == ("waiting", by, "people.csv")
    assert Path(job.path).parent.name == "uploads"
    assert b"hx-get" in client.get(page(job)).content
    import_work(job.pk)
    shown = client.get(page(job), headers={"HX-Request": "true"}).content.decode()
    assert "hx-get" not in shown
    assert ">3<" in shown
    assert "<html" not in shown
    assert ConsentRecord.objects.filter(actor=by).count() == 3
    assert b"people.csv" in client.get(reverse("admin:imports_import_changelist")).content


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"content": "a,b\n1,2\n"}, "These columns are missing"),
        ({"content": "PK\x03\x04"}, "workbook"),
        ({"preset": "online-retail"}, "is for orders"),
        ({"preset": "own"}, "Choose the file with your mapping"),
        ({"consent": "grant", "purpose": "marketing", "evidence": "yes"}, "Say how you know"),
        ({"consent": "column", "purpose": "marketing"}, "Name the column"),
        ({"consent": "column", "purpose": "marketing", "column": "Nothing"}, "missing: Nothing"),
        ({"address_template": "nothing"}, "with {id} in it once"),
    ],
)
def test_what_is_wrong_is_said_in_the_form(client: Client, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    client.force_login(make_user("administrator"))
    answer = client.post(ADD, form(**changes))

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Import.objects.exists()
    assert not list((tmp_path / "data").rglob("*.csv"))


def test_a_file_too_large_is_refused(client: Client, settings: LazySettings) -> None:
    settings.IMPORT_UPLOAD_LIMIT = 100
    client.force_login(make_user("administrator"))
    assert "larger than" in client.post(ADD, form()).content.decode()
    assert not Import.objects.exists()


def test_the_same_file_again_leads_to_its_import(client: Client, tmp_path: Path) -> None:
    client.force_login(make_user("administrator"))
    client.post(ADD, form())
    import_work(Import.objects.get().pk)
    assert client.post(ADD, form(name="other name.csv"))["Location"] == page(Import.objects.get())
    assert len(list((tmp_path / "data" / "uploads").iterdir())) == 1


def test_a_hostile_name_names_nothing_on_this_machine(client: Client, tmp_path: Path) -> None:
    client.force_login(make_user("administrator"))
    client.post(ADD, form(name="<script>alert(1)</script>.csv"))
    job = Import.objects.get()

    assert Path(job.path).parent == (tmp_path / "data" / "uploads").resolve()
    assert b"<script>alert" not in client.get(page(job)).content
    assert name_clean("../../etc/passwd") == "passwd"
    assert name_clean("C:\\x\\y\0\n.csv") == "y.csv"
    assert name_clean("../") == "upload.csv"


def test_stop_go_on_and_the_errors_file(
    client: Client, woken: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    client.force_login(make_user("administrator"))
    client.post(ADD, form(content=SHOPIFY_CUSTOMERS + "bad\n"))
    job = Import.objects.get()
    client.post(reverse("admin:imports_import_stop", args=[job.pk]))
    job.refresh_from_db()
    assert job.state == "stopped"
    woken.clear()
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("admin:imports_import_go_on", args=[job.pk]))
    assert woken == [job.pk]
    import_work(job.pk)

    errors = client.get(reverse("admin:imports_import_errors", args=[job.pk]))
    assert b"it has 1 columns" in errors.getvalue()
    assert errors["Content-Disposition"] == f'attachment; filename="import-{job.pk}-errors.csv"'


@pytest.mark.parametrize("role", ["analyst", "publisher", "local_editor"])
def test_who_may_only_look_changes_nothing(client: Client, role: str) -> None:
    client.force_login(make_user("administrator"))
    client.post(ADD, form())
    job = Import.objects.get()
    client.force_login(make_user(role))

    assert client.get(page(job)).status_code == 200
    assert client.get(ADD).status_code == 403
    assert client.post(ADD, form()).status_code == 403
    for name in ("stop", "go_on"):
        assert client.post(reverse(f"admin:imports_import_{name}", args=[job.pk])).status_code == 403
    assert client.get(reverse("admin:imports_import_errors", args=[job.pk])).status_code == 403
    job.refresh_from_db()
    assert (Import.objects.count(), job.state) == (1, "waiting")


def test_people_are_found_by_whole_address(client: Client) -> None:
    anna, _ = make_profile(email="anna@example.com", first_name="Anna"), make_profile(first_name="Bo")
    client.force_login(make_user("analyst"))
    found = client.get(reverse("admin:profiles_profile_changelist"), {"q": "ANNA@example.com"}).content.decode()
    assert "Anna" in found
    assert "Bo" not in found.partition("<tbody")[2].partition("</tbody")[0]
    assert client.get(reverse("admin:profiles_profile_change", args=[anna.pk])).status_code == 200
    assert Profile.objects.count() == 2
    for name in ("catalog_item", "events_order", "events_event", "imports_import"):
        assert client.get(reverse(f"admin:{name}_changelist"), {"q": "1"}).status_code == 200
