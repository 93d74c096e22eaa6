"""By what people are known: the one place that reads and writes the values of identifiers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.foundation.core.signing import address_digest

from .models import Identifier


def addresses_read(*, profile_ids: Iterable[int], kind: str) -> dict[int, str]:
    """The main identifier of the kind, normalized, of those people who have one."""
    rows = Identifier.objects.filter(profile_id__in=list(profile_ids), kind=kind, main=True)
    return dict(rows.values_list("profile_id", "value"))


@dataclass(frozen=True, slots=True)
class Known:
    """One way in which a person is known. value: normalized."""

    kind: str
    value: str
    main: bool
    verified: bool
    source: str
    since: datetime


def identifiers_read(*, profile_id: int) -> list[Known]:
    """All by which a person is known, the oldest first."""
    return [
        Known(one.kind, one.value, one.main, one.verified, one.source, one.created_at)
        for one in Identifier.objects.filter(profile_id=profile_id).order_by("pk")
    ]


def holders_of(*, kind: str, value: str) -> list[int]:
    """The ids of all who are known by this value (normalized), whose main one it is first."""
    rows = Identifier.objects.filter(kind=kind, digest=address_digest(kind, value))
    return list(rows.order_by("-main", "profile_id").values_list("profile_id", flat=True))


def identifier_put(*, profile_id: int, kind: str, value: str, verified: bool = False, source: str = "") -> int:
    """Let a person be known by this value (normalized) too. Returns the identifier's id.

    Of its kind the first address becomes the main one; a verified one takes the place of one that is not. A value
    that the person has already stays as it is, and becomes verified if it is now.
    Raises django.db.IntegrityError for a customer number that somebody else has.
    """
    with transaction.atomic():
        held = Identifier.objects.select_for_update().filter(profile_id=profile_id, kind=kind)
        main = next((one for one in held if one.main), None)
        found, made = Identifier.objects.get_or_create(
            profile_id=profile_id,
            kind=kind,
            digest=address_digest(kind, value),
            defaults={"value": value, "verified": verified, "source": source},
        )
        becomes_main = kind != Identifier.Kind.EXTERNAL and (
            main is None or (verified and not main.verified and main.pk != found.pk)
        )
        if becomes_main and main is not None:
            Identifier.objects.filter(pk=main.pk).update(main=False)
        wanted = {"main": found.main or becomes_main, "verified": found.verified or verified}
        if not made or becomes_main:
            Identifier.objects.filter(pk=found.pk).update(**wanted)
    return int(found.pk)


def identifier_verify(*, profile_id: int, identifier_id: int) -> bool:
    """Mark an address of a person as verified: they showed that it is theirs. False when it is not there any more."""
    return Identifier.objects.filter(pk=identifier_id, profile_id=profile_id).update(verified=True) > 0
