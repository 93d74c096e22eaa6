"""What it tells of the personal data it holds: who is in a watched audience."""

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from apps.data.privacy.registry import (
    Because,
    Forgotten,
    Person,
    Phase,
    Row,
    erase_step,
    export_part,
    processing_declare,
)

from .models import AudienceMember


def _members(profile_id: int) -> Iterator[Row]:
    for one in AudienceMember.objects.filter(profile_id=profile_id).select_related("audience").order_by("pk"):
        yield {"audience": one.audience.name, "since": one.since}


def _forget(person: Person) -> Forgotten:
    return Forgotten(AudienceMember.objects.filter(profile_id=person.profile_id).delete()[0])


def privacy_register() -> None:
    """Say what this app holds."""
    export_part(
        "audiences",
        _("Groups of customers whose members are watched"),
        _members,
        words={"audience": _("Name"), "since": _("Since")},
    )
    erase_step("audiences", _forget, title="Which watched audiences they were in", phase=Phase.STOP)
    processing_declare(
        AudienceMember,
        purpose="Noticing when somebody enters or leaves a group of customers",
        lawful_basis="legitimate interest",
        categories=("who is in an audience, and since when",),
        kept=Because("Kept while the audience is watched, and somebody is in it."),
        exported="audiences",
        erased="audiences",
    )
