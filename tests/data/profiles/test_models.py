"""What the database holds about profiles and their identifiers."""

import pytest
from django.db import IntegrityError, transaction

from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core.signing import address_digest
from tests.factories import make_profile


def make_identifier(profile: Profile, kind: str, value: str, *, main: bool = False) -> Identifier:
    return Identifier.objects.create(
        profile=profile, kind=kind, sealed=b"sealed", digest=address_digest(kind, value), main=main
    )


@pytest.mark.django_db
def test_one_address_may_belong_to_two_profiles() -> None:
    one, other = make_profile(email="family@example.com"), make_profile(email="family@example.com")

    digest = address_digest("email", "family@example.com")
    assert set(Identifier.objects.filter(digest=digest).values_list("profile_id", flat=True)) == {one.pk, other.pk}


@pytest.mark.django_db
def test_one_customer_number_may_not() -> None:
    make_identifier(make_profile(), "external_id", "HP-1")

    with pytest.raises(IntegrityError), transaction.atomic():
        make_identifier(make_profile(), "external_id", "HP-1")

    assert Identifier.objects.filter(kind="external_id").count() == 1


@pytest.mark.django_db
def test_a_profile_has_one_main_address_and_others_beside_it() -> None:
    profile = make_profile(email="main@example.com")
    make_identifier(profile, "email", "second@example.com")

    with pytest.raises(IntegrityError), transaction.atomic():
        make_identifier(profile, "email", "third@example.com", main=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_identifier(profile, "email", "second@example.com")

    assert profile.identifiers.filter(kind="email").count() == 2


@pytest.mark.django_db
def test_a_profile_is_not_called_by_its_name() -> None:
    """What ends up in logs and in the admin's history names nobody."""
    profile = make_profile(first_name="Ada", email="ada@example.com")
    identifier = profile.identifiers.get()

    assert str(profile) == f"Profile {profile.pk}"
    assert str(identifier) == f"e-mail of profile {profile.pk}"
