"""The page about who is one person: answers, merging by number, undoing; each by its right."""

import pytest
from django.test import Client

from apps.data.profiles.candidates import Pair, candidates_put
from apps.data.profiles.merging import survivor_of
from apps.data.profiles.models import Merge, MergeCandidate
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db
PAGE = "/console/merges/"


@pytest.fixture
def director(client: Client) -> Client:
    client.force_login(make_user("administrator"))
    return client


def test_a_pair_is_shown_with_its_reasons_merged_and_undone(director: Client) -> None:
    one, other = make_profile(first_name="Anna", email="anna@example.com"), make_profile(first_name="Anne")
    candidates_put(
        [Pair(one.pk, other.pk, "score", score=0.93, reasons=[("same birth date", 8.1), ("towns differ", -2.0)])]
    )
    page = director.get(PAGE).content.decode()
    assert all(text in page for text in ("93.0 % likely", "same birth date", "anna@example.com", "speaks against it"))

    candidate = MergeCandidate.objects.get()
    page = director.post(f"{PAGE}candidates/{candidate.pk}/", {"answer": "merge"}, follow=True).content.decode()
    assert "Merged into profile" in page
    assert survivor_of(other.pk) == one.pk
    assert "Became part of" in director.get(f"/console/people/{other.pk}/").content.decode()

    director.post(f"{PAGE}{Merge.objects.get().pk}/undo/")
    assert survivor_of(other.pk) == other.pk
    director.post(f"{PAGE}make/", {"kept": str(other.pk), "absorbed": str(one.pk), "reason": "they called"})
    assert (survivor_of(one.pk), Merge.objects.latest("pk").reasons) == (other.pk, ["they called"])


def test_what_can_not_be_is_said_and_who_may_not_changes_nothing(director: Client) -> None:
    one, other = make_profile(), make_profile()
    for given in ({"kept": "x", "absorbed": "1"}, {"kept": str(one.pk), "absorbed": "99999999999"}, {"kept": "9" * 30}):
        assert director.post(f"{PAGE}make/", given, follow=True).status_code == 200
    analyst = Client()
    analyst.force_login(make_user("analyst"))
    assert analyst.get(PAGE).status_code == 403
    assert analyst.post(f"{PAGE}make/", {"kept": str(one.pk), "absorbed": str(other.pk)}).status_code == 403
    assert not Merge.objects.exists()
