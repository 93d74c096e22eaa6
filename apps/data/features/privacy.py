"""What it tells of the personal data it holds: tallies of what people did, and what is made of them."""

from collections.abc import Iterator

from django.db import connection
from django.utils.translation import gettext_lazy as _

from apps.data.privacy.registry import (
    Because,
    Forgotten,
    Person,
    Row,
    erase_step,
    export_part,
    processing_declare,
    retention_rule,
)
from apps.foundation.core.clock import now

from .definitions import FEATURES
from .models import EventDay, EventTally, StaleCopy
from .online import copies_void, features_select
from .tallies import tallies_forget


def _values(profile_id: int) -> Iterator[Row]:
    names = [name for name, feature in FEATURES.items() if feature.kind != "items"]
    values = features_select(profile_ids=[profile_id], names=names, as_of=now()).get(profile_id, {})
    for name, value in values.items():
        feature = FEATURES[name]
        if value is not None and value != feature.default:
            yield {"what": feature.description, "value": str(value)}


def _forget(person: Person) -> Forgotten:
    """Also while events of the person are being recorded: whoever erases holds their gate, and they have none left."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM features_eventday WHERE profile_id = %s", [person.profile_id])
        gone = cursor.rowcount
        cursor.execute("DELETE FROM features_eventtally WHERE profile_id = %s", [person.profile_id])
        gone += cursor.rowcount
        cursor.execute("DELETE FROM features_stalecopy WHERE profile_id = %s", [person.profile_id])
    copies_void(profile_ids=[person.profile_id])
    return Forgotten(gone)


def privacy_register() -> None:
    """Say what this app holds."""
    export_part(
        "features",
        _("What is computed from what you did and bought"),
        _values,
        words={"what": _("What"), "value": _("Value")},
    )
    erase_step("features", _forget, title="Tallies of what they did")
    retention_rule("event tallies", "Tallies of what people did, by day", "EVENT_KEEP_DAYS", tallies_forget)
    for model in (EventTally, EventDay):
        processing_declare(
            model,
            purpose="Choosing what fits a person, and whom a message is for, by how often and when they did something",
            lawful_basis="consent, for what is personalised; legitimate interest",
            categories=("how often something was done on a day, and when first and last",),
            kept="event tallies",
            exported="features",
            erased="features",
        )
    processing_declare(
        StaleCopy,
        purpose="Taking back copies of values that are not right any more",
        lawful_basis="legitimate interest",
        categories=("that something was done",),
        kept=Because("taken up and deleted within a minute of Redis being there again."),
        exported=Because("it says nothing but that something changed."),
        erased="features",
    )
