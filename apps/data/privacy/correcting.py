"""Correction (GDPR, Article 16) of what a person or staff may correct: at once, without the values in any record."""

from collections.abc import Mapping
from typing import Final

from django.db import transaction

from apps.data.profiles.attributes import attributes_fit, attributes_put, shapes_read
from apps.data.profiles.models import Profile
from apps.data.profiles.normalize import country_code, language_tag, text_clean, time_zone_name
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.core.live import live_publish
from apps.foundation.core.outbox import outbox_put

from .models import RightsRequest
from .services import State, person_lock, request_move, request_open

FIELDS: Final = ("first_name", "last_name", "language", "country", "time_zone")
"""What a person may correct of themselves."""
_READ: Final = {"language": language_tag, "country": country_code, "time_zone": time_zone_name}
_LONGEST: Final = 120


def correction_make(
    *,
    profile_id: int,
    values: Mapping[str, str],
    shown_by: str,
    actor: User | None = None,
    attributes: Mapping[str, str] | None = None,
) -> RightsRequest | None:
    """Correct what is known of a person; "" empties. None when all was so already: nothing is recorded then.

    values: of FIELDS, by name; attributes: by name, of a person's own those that are defined as correctable, of staff's
    all that are defined. It holds also while their data is restricted (Article 18(1)(a) comes of such a dispute).
    Raises Invalid, its field in `extra`, NotFound, Conflict.
    """
    wanted = {name: _read(name, value) for name, value in values.items()}
    with transaction.atomic():
        profile = person_lock(profile_id)
        changed = sorted(name for name, value in wanted.items() if getattr(profile, name) != value)
        corrected = _attributes_correct(profile, attributes or {}, by_staff=actor is not None)
        if profile.erased_at is None and not changed and not corrected:
            return None
        request = request_open(
            profile_id=profile_id, kind=RightsRequest.Kind.CORRECTION, shown_by=shown_by, actor=actor
        )
        Profile.objects.filter(pk=profile_id).update(**{name: wanted[name] for name in changed}, updated_at=now())
        request_move(request, to=State.DONE, report={"corrected": [*changed, *corrected]}, actor=actor)
        outbox_put("profile.corrected", [{"profile": profile_id, "fields": [*changed, *corrected]}])
        transaction.on_commit(lambda: live_publish(f"profile-{profile_id}"))
    return request


def _attributes_correct(profile: Profile, values: Mapping[str, str], *, by_staff: bool) -> list[str]:
    """Write attributes by their definitions. Returns the names of those that changed. Raises Invalid, Conflict."""
    if not values or profile.erased_at is not None:
        return []
    shapes = shapes_read(values, locked=True)
    for name in values:
        if name not in shapes or not (by_staff or shapes[name].correctable):
            raise Invalid("field_unknown", f"{name} can't be corrected here", {"field": name})
    for name, why in attributes_fit(values, shapes)[1].items():
        raise Invalid("value_unfit", f"{name} {why}", {"field": name})
    return attributes_put(profile_id=profile.pk, values=values, source="correction", correcting=True)


def _read(name: str, value: str) -> str:
    if name not in FIELDS:
        raise Invalid("field_unknown", f"{name} can't be corrected here", {"field": name})
    text = text_clean(value)
    if len(text) > _LONGEST:
        raise Invalid("value_too_long", f"Write at most {_LONGEST} characters", {"field": name})
    if not text or name not in _READ:
        return text
    read = _READ[name](text)
    if not read:
        raise Invalid("value_unknown", "This is none that we know: choose one of the list", {"field": name})
    return read
