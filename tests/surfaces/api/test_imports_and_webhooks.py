"""Imports and webhooks in the API: files in and what was left out of them; where news goes, and its secret."""

from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import LazySettings
from django.test import Client

from apps.data.consent.models import ConsentRecord
from apps.data.imports.models import Import
from apps.data.imports.services import import_run
from apps.data.imports.tasks import import_work
from apps.data.profiles.models import Profile
from apps.delivery.webhooks.models import WebhookDelivery, WebhookEndpoint
from apps.surfaces.api.models import KeptAnswer
from tests.data.imports.making import SHOPIFY_CUSTOMERS
from tests.factories import make_purposes, make_user

from .makers import Asker, make_asker, problem

pytestmark = pytest.mark.django_db
HOOK = {"name": "CRM", "url": "https://crm.example/hook", "kinds": ["consent.changed"]}
GRANT = {"purpose": "marketing", "evidence": "Newsletter form of the shop, since 2019"}


@pytest.fixture(autouse=True)
def woken(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The imports that a worker was woken for."""
    settings.DATA_DIR = tmp_path / "data"
    found: list[int] = []
    monkeypatch.setattr("apps.surfaces.api.v1.imports.views.enqueue_on_commit", lambda task, pk: found.append(pk))
    assert import_work
    return found


def send(asker: Asker, content: str = SHOPIFY_CUSTOMERS, key: str = "", **fields: str) -> Any:
    """Send a file in, as a form."""
    file = BytesIO(content.encode())
    file.name = "people.csv"
    said = {"file": file, "kind": "profiles", "preset": "shopify", **fields}
    said = {name: value for name, value in said.items() if value}
    headers = {"Authorization": f"Bearer {asker.key}", **({"Idempotency-Key": key} if key else {})}
    return Client(raise_request_exception=False).post("/api/v1/imports", said, headers=headers)


def test_a_file_is_sent_in_read_and_what_was_left_out_is_fetched(woken: list[int]) -> None:
    make_purposes()
    asker = make_asker()

    made = send(asker, SHOPIFY_CUSTOMERS + "'7004,X,,no-address,,,DE,,no,0,0,\n", **GRANT)
    assert made.status_code == 201, made.content
    job = Import.objects.get()
    assert (made["Location"], woken) == (f"/api/v1/imports/{job.pk}", [job.pk])
    problem(asker.get(f"imports/{job.pk}/errors"), 404, "not_found")
    import_run(import_id=job.pk)
    told = asker.get(f"imports/{job.pk}").json()
    assert (told["state"], told["percent"], told["file_name"], told["has_errors"]) == ("done", 100, "people.csv", True)
    assert told["counts"]["lines_read"] == 4
    errors = asker.get(f"imports/{job.pk}/errors")
    assert errors["Content-Type"] == "text/csv"
    assert b"no-address" in errors.getvalue()
    assert ConsentRecord.objects.filter(actor=asker.client.owner).count() == Profile.objects.count() > 0
    assert [one["id"] for one in asker.get("imports?state=done").json()["items"]] == [job.pk]


def test_the_same_file_is_one_import_and_its_key_is_replayed(woken: list[int]) -> None:
    asker = make_asker()

    first, again = send(asker, key="1"), send(asker, key="1")
    assert (again.json(), again["Idempotency-Replayed"]) == (first.json(), "true")
    problem(send(asker, SHOPIFY_CUSTOMERS + "\n", key="1"), 422, "idempotency_key_reused")
    assert send(asker).json()["id"] == first.json()["id"]
    assert Import.objects.count() == 1


def test_an_import_is_stopped_and_goes_on(woken: list[int]) -> None:
    asker = make_asker()
    pk = send(asker).json()["id"]

    assert asker.post(f"imports/{pk}/stop").json()["state"] == "stopped"
    problem(asker.post(f"imports/{pk}/stop"), 409, "import_not_running")
    assert asker.post(f"imports/{pk}/go-on").json()["state"] == "waiting"
    assert woken == [pk, pk]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"preset": ""}, 422, "mapping_missing"),
        ({"preset": "magic"}, 422, "content_wrong"),
        ({"mapping": "{}"}, 422, "mapping_missing"),
        ({"preset": "", "mapping": "{"}, 400, "json_wrong"),
        ({"preset": "", "mapping": '{"columns": {"email": ["\\ud800"]}}'}, 400, "json_wrong"),
        ({"preset": "", "mapping": '{"source": "s", "columns": {"email": ["Nowhere"]}}'}, 422, "columns_missing"),
        ({"kind": "magic"}, 422, "content_wrong"),
        ({"purpose": "marketing", "evidence": "short"}, 422, "evidence_missing"),
        ({"purpose": "magic", "evidence": GRANT["evidence"]}, 422, "purpose_unknown"),
        ({"odd": "1"}, 422, "content_wrong"),
    ],
)
def test_a_file_that_is_wrong_is_not_kept(fields: dict[str, str], status: int, code: str, tmp_path: Path) -> None:
    make_purposes()
    problem(send(make_asker(), **fields), status, code)

    assert not Import.objects.exists()
    assert not list(tmp_path.glob("data/uploads/*"))


def test_who_may_not_import_does_not_and_nobody_grants_beyond_their_limits(tmp_path: Path) -> None:
    make_purposes()
    owner = make_user("administrator")
    analyst = make_asker(owner=make_user("analyst"))
    limited = make_asker(owner=owner, reach={"purposes": ["tracking"]})
    pk = send(make_asker(owner=owner)).json()["id"]

    problem(send(analyst, SHOPIFY_CUSTOMERS + "\n"), 403, "right_missing")
    problem(analyst.post(f"imports/{pk}/stop"), 403, "right_missing")
    problem(analyst.get(f"imports/{pk}/errors"), 403, "right_missing")
    problem(send(limited, **GRANT), 403, "purpose_beyond_limits")
    by_column = '{"source": "s", "columns": {"email": ["Email"]}, "consent": {"marketing": "Tags"}}'
    problem(send(limited, preset="", mapping=by_column), 403, "purpose_beyond_limits")
    problem(limited.post("imports", {"kind": "profiles"}), 415, "media_type_wrong")
    assert Import.objects.count() == len(list(tmp_path.glob("data/uploads/*"))) == 1


def test_an_endpoint_is_set_up_changed_and_taken_away() -> None:
    asker = make_asker()

    made = asker.post("webhooks", HOOK, Idempotency_Key="1")
    assert made.status_code == 201, made.content
    endpoint = WebhookEndpoint.objects.get()
    path = f"webhooks/{endpoint.pk}"
    read = asker.get(path)
    assert (read.json(), read["ETag"]) == (made.json(), made["ETag"])
    assert asker.patch(path, {"active": False}, If_Match=read["ETag"]).json()["active"] is False
    problem(asker.patch(path, {"name": "Late"}, If_Match=read["ETag"]), 412, "changed_meanwhile")
    problem(asker.patch(path, {"url": "http://crm.example/"}), 422, "url_refused")
    problem(asker.patch(path, {"kinds": ["magic"]}), 422, "content_wrong")
    problem(asker.post(f"{path}/test"), 409, "endpoint_off")
    assert asker.ask("DELETE", path).status_code == 204
    problem(asker.ask("DELETE", path), 404, "endpoint_unknown")
    assert not WebhookEndpoint.objects.exists()


def test_its_secret_is_in_no_answer_that_is_kept_and_changes_with_an_overlap() -> None:
    asker = make_asker()
    path = f"webhooks/{asker.post('webhooks', HOOK, Idempotency_Key='1').json()['id']}"

    first = asker.get(f"{path}/secret").json()
    changed = asker.post(f"{path}/secret", Idempotency_Key="2").json()
    assert first["secret"].startswith("whsec_")
    assert changed["secret"] != first["secret"]
    assert changed["before_signs_until"] is not None
    problem(asker.post(f"{path}/secret"), 409, "secret_changing")
    kept = b"".join(orjson.dumps(answer.body) for answer in KeptAnswer.objects.all())
    assert b"whsec_" not in kept
    reader = make_asker("webhooks:read")
    problem(reader.get(f"{path}/secret"), 403, "scope_missing")


def test_deliveries_are_read_and_sent_again_at_their_own_endpoint_alone() -> None:
    asker = make_asker()
    path = f"webhooks/{asker.post('webhooks', HOOK).json()['id']}"
    other = f"webhooks/{asker.post('webhooks', {**HOOK, 'name': 'Other'}).json()['id']}"

    tested = asker.post(f"{path}/test").json()
    WebhookDelivery.objects.update(state="failed", attempts=10)
    [one] = asker.get(f"{path}/deliveries?state=failed").json()["items"]
    assert (one["id"], one["kind"], one["message_id"]) == (tested["id"], "webhook.test", tested["message_id"])
    problem(asker.post(f"{other}/deliveries/{one['id']}/again"), 404, "not_found")
    again = asker.post(f"{path}/deliveries/{one['id']}/again").json()
    assert (again["state"], again["attempts"]) == ("waiting", 0)
    outsider = make_asker(owner=make_user("publisher"))
    problem(outsider.get(path), 403, "right_missing")
    problem(outsider.post("webhooks", HOOK), 403, "right_missing")
    assert WebhookEndpoint.objects.count() == 2
