"""Support tickets and promotions in the API."""

import pytest

from apps.data.catalog.models import Promotion
from apps.data.events.models import Ticket
from apps.data.events.tickets import tickets_open
from tests.factories import make_profile

from .makers import make_asker, problem

pytestmark = pytest.mark.django_db
MAY = {"code": "MAY", "title": "Free delivery", "starts_at": "2026-05-01T00:00:00Z"}


def test_a_ticket_is_opened_and_closed() -> None:
    asker, ada = make_asker(), make_profile()

    opened = asker.post("tickets", {"number": "1", "profile": ada.pk, "state": "open"})
    assert (opened.status_code, opened.json()["state"], opened.json()["source"]) == (201, "open", asker.client_source)
    assert tickets_open([ada.pk]) == {ada.pk}
    closed = asker.post("tickets", {"number": "1", "profile": ada.pk, "state": "closed"})
    assert (closed.status_code, closed.json()["state"]) == (200, "closed")
    assert asker.get("tickets?state=open").json()["items"] == []
    assert [one["number"] for one in asker.get(f"tickets?profile={ada.pk}&state=closed").json()["items"]] == ["1"]
    problem(asker.get("tickets?state=lost"), 400, "parameter_wrong")
    problem(asker.get("tickets?profile=ada"), 400, "parameter_wrong")


def test_a_client_doesnt_close_what_another_opened() -> None:
    asker, other, ada = make_asker(), make_asker(), make_profile()
    asker.post("tickets", {"number": "1", "profile": ada.pk, "state": "open"})

    other.post("tickets", {"number": "1", "profile": ada.pk, "state": "closed"})
    assert tickets_open([ada.pk]) == {ada.pk}


def test_tickets_in_bulk() -> None:
    asker, ada = make_asker(), make_profile()
    rows = [
        {"number": "1", "profile": ada.pk, "state": "open"},
        {"number": "2", "profile": 10**12, "state": "open"},
        {"number": "3", "profile": ada.pk, "state": "waiting"},
    ]

    said = asker.post("tickets/bulk", {"rows": rows}).json()
    assert [one["status"] for one in said["results"]] == [201, 404, 422]
    assert list(Ticket.objects.values_list("number", flat=True)) == ["1"]


def test_a_promotion_is_told_and_changed() -> None:
    asker = make_asker()

    made = asker.post("promotions", MAY)
    assert made.status_code == 201
    path = f"promotions/{made.json()['id']}"
    assert asker.get(path).json() == made.json()
    assert asker.patch(path, {"countries": ["DE"]}, If_Match=made["ETag"]).json()["countries"] == ["DE"]
    problem(asker.patch(path, {"countries": ["FR"]}, If_Match=made["ETag"]), 412, "changed_meanwhile")
    problem(asker.patch(path, {"ends_at": "2026-04-01T00:00:00Z"}), 422, "promotion_ends")
    problem(asker.get("promotions/9999"), 404, "not_found")
    assert asker.post("promotions", {"code": "MAY", "title": "New"}).status_code == 200
    assert Promotion.objects.get().title == "New"


def test_promotions_in_bulk() -> None:
    said = make_asker().post("promotions/bulk", {"rows": [MAY, {"code": "JUNE"}]}).json()

    assert [one["status"] for one in said["results"]] == [201, 422]
    assert said["results"][1]["problem"]["errors"][0]["pointer"] == "#/title"
