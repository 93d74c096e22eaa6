"""Links asked for by an address: noted without it, and looked up by a worker."""

import pytest

from apps.data.profiles.asking import link_ask, links_asked_answer
from apps.data.profiles.models import LinkAsked
from apps.decisioning.playbooks.models import MailWant
from tests.factories import make_profile

pytestmark = pytest.mark.django_db


def test_each_who_has_the_address_gets_a_mail_of_their_own() -> None:
    mother, child, other = (make_profile(email=email) for email in ("a@example.com", "a@example.com", "b@example.com"))
    for address in ("a@example.com", "a@example.com", "nobody@example.com"):
        link_ask(address=address)
    first, second, _ = LinkAsked.objects.order_by("pk").values_list("pk", flat=True)

    assert links_asked_answer() == 4
    assert links_asked_answer() == 0

    assert not LinkAsked.objects.exists()
    wanted = MailWant.objects.order_by("pk").values_list("profile_id", "kind", "key")
    assert list(wanted) == [
        (person.pk, "link", f"asked:{number}") for number in (first, second) for person in (mother, child)
    ]
    assert not MailWant.objects.filter(profile=other).exists()


def test_what_is_noted_does_not_say_the_address() -> None:
    link_ask(address="carla@example.com")

    asked = LinkAsked.objects.get()
    assert b"carla" not in bytes(asked.digest)
    assert "carla" not in str(asked)
