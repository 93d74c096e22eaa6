"""The history of any kind of object: who, when, why, what it said, and back to it.

Two sources. An object whose versions are rows has its history there; one that is edited in place is kept by
django-reversion, at each save, by the service that saves (`revision_keep`): so every door records, not the admin alone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any

import reversion
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from reversion.models import Version

from apps.foundation.accounts.models import User
from apps.foundation.core.errors import NotFound

from .models import AuditEntry, Publication, Review
from .registry import Entry, Looks, Workflow, workflow_of
from .selectors import version_states


def revision_keep(*, row: models.Model, by: User | None, why: str = "") -> None:
    """Keep what a row says now, in the caller's transaction."""
    with reversion.create_revision():
        reversion.set_user(by)
        reversion.set_comment(why.strip()[:400])
        reversion.add_to_revision(row)


def revision_begin(row: models.Model) -> None:
    """Keep what the database says of a row that is about to be changed, if nothing was ever kept of it."""
    if not Version.objects.get_for_object(row).exists():
        before = type(row)._default_manager.get(pk=row.pk)
        revision_keep(row=before, by=None, why="As it was before its history began")


def actors_since_published(head: models.Model, actions: Sequence[str]) -> set[int]:
    """The ids of those who did `actions` to an object since a version of it was last published."""
    last = (
        Publication.objects.filter(content_type=ContentType.objects.get_for_model(head), head_id=head.pk)
        .order_by("-live_from")
        .first()
    )
    entries = AuditEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(head),
        object_id=str(head.pk),
        action__in=actions,
        actor__isnull=False,
    )
    if last is not None:
        entries = entries.filter(at__gt=last.live_from)
    return set(entries.order_by().values_list("actor_id", flat=True).distinct())


def flattened(data: Any, at: str = "") -> dict[str, str]:
    """Nested JSON by its places, as text: `slots.hero[1].when`."""
    below: list[tuple[str, Any]] = []
    if isinstance(data, dict):
        below = [(f"{at}.{name}" if at else str(name), value) for name, value in data.items()]
    elif isinstance(data, list) and any(isinstance(value, dict | list) for value in data):
        below = [(f"{at}[{number}]", value) for number, value in enumerate(data, 1)]
    if below:
        return {key: text for place, value in below for key, text in flattened(value, place).items()}
    if isinstance(data, str):
        return {at: data}
    if data is None or data == [] or data == {}:
        return {at: ""}
    if isinstance(data, list):
        return {at: ", ".join(map(str, data))}
    return {at: json.dumps(data)}


class VersionRows:
    """The history of an object under the workflow: its versions."""

    prefix = "v"

    def _flow(self, head: models.Model) -> Workflow:
        flow = workflow_of(type(head))
        if flow is None:
            raise TypeError(f"{type(head).__name__} has no workflow")
        return flow

    def _version(self, head: models.Model, key: str) -> Any:
        flow = self._flow(head)
        number = key.removeprefix(self.prefix)
        found = (
            flow.versions(head).filter(number=int(number)).first() if number.isdecimal() and len(number) < 10 else None
        )
        if found is None:
            raise NotFound("history_unknown", "There is no such version")
        return found

    def entries(self, head: models.Model, *, limit: int) -> list[Entry]:
        """Its versions, the newest first, with their states."""
        flow = self._flow(head)
        rows = list(flow.versions(head).select_related("created_by")[:limit])
        states = version_states(flow, rows)
        notes: dict[int, str] = dict(
            Review.objects.filter(
                content_type=ContentType.objects.get_for_model(flow.version), object_id__in=[row.pk for row in rows]
            )
            .order_by("pk")
            .values_list("object_id", "note")
        )
        return [
            Entry(
                key=f"{self.prefix}{row.number}",
                label=f"v{row.number}",
                at=row.created_at,
                by=row.created_by,
                why=getattr(row, "why", "") or notes.get(row.pk, ""),
                state=states[row.pk].value,
                state_label=str(states[row.pk].label),
            )
            for row in rows
        ]

    def key_of(self, head: models.Model, version_id: int) -> str:
        """The key of a version by its id."""
        return f"{self.prefix}{self._flow(head).version._default_manager.get(pk=version_id).number}"  # type: ignore[attr-defined]

    def values(self, head: models.Model, key: str) -> Mapping[str, str]:
        """Its fields at a version."""
        return self._flow(head).values(self._version(head, key))

    def looks(self, head: models.Model, key: str) -> Sequence[Looks]:
        """How it looked at a version."""
        return self._flow(head).looks(self._version(head, key))

    def revert(self, head: models.Model, key: str, *, by: User, why: str) -> str:
        """A new draft that says what a version said."""
        return self._flow(head).revert(self._version(head, key), by, why)


class Kept:
    """The history of an object that is edited in place, kept by django-reversion.

    revert: saves old values by the object's service: the row, the values by field, by, why → what to say;
    leave: fields that are no news.
    """

    prefix = "r"

    def __init__(
        self,
        model: type[models.Model],
        *,
        revert: Callable[[Any, Mapping[str, Any], User, str], str],
        leave: Sequence[str] = (),
        label: str = "saved",
    ) -> None:
        self._model, self._revert, self._leave, self._label = model, revert, frozenset(leave), label
        if not reversion.is_registered(model):
            reversion.register(model)

    def _rows(self, head: models.Model) -> "models.QuerySet[Version]":
        rows: models.QuerySet[Version] = Version.objects.get_for_object(head).select_related("revision__user")
        return rows.order_by("-pk")

    def _row(self, head: models.Model, key: str) -> Version:
        number = key.removeprefix(self.prefix)
        found = self._rows(head).filter(pk=int(number)).first() if number.isdecimal() and len(number) < 18 else None
        if found is None:
            raise NotFound("history_unknown", "There is no such version")
        return found

    def entries(self, head: models.Model, *, limit: int) -> list[Entry]:
        """What was saved, the newest first."""
        return [
            Entry(
                key=f"{self.prefix}{row.pk}",
                label=self._label,
                at=row.revision.date_created,
                by=row.revision.user,
                why=row.revision.comment,
            )
            for row in self._rows(head)[:limit]
        ]

    def _kept(self, row: Version) -> dict[str, Any]:
        return {name: value for name, value in row.field_dict.items() if name not in self._leave and name != "id"}

    def kept(self, head: models.Model, key: str) -> dict[str, Any]:
        """Its values by field at a line. Raises NotFound."""
        return self._kept(self._row(head, key))

    def values(self, head: models.Model, key: str) -> Mapping[str, str]:
        """Its fields as they were saved then, by the names that people know."""
        found: dict[str, str] = {}
        for name, value in self._kept(self._row(head, key)).items():
            try:
                field = self._model._meta.get_field(name.removesuffix("_id") if name.endswith("_id") else name)
            except FieldDoesNotExist:  # it is gone since
                found |= flattened(value, name)
                continue
            title = str(getattr(field, "verbose_name", name)).capitalize()
            related = field.related_model if isinstance(field, models.ForeignKey) else None
            if related is not None and value is not None and not isinstance(related, str):
                found[title] = str(related._default_manager.filter(pk=value).first() or value)
            else:
                found |= flattened(value if not isinstance(value, datetime) else f"{value:%Y-%m-%d %H:%M}", title)
        return found

    def looks(self, head: models.Model, key: str) -> Sequence[Looks]:
        """Nothing to look at."""
        return ()

    def revert(self, head: models.Model, key: str, *, by: User, why: str) -> str:
        """Save what was, by the service of the object."""
        return self._revert(head, self._kept(self._row(head, key)), by, f"Back to an earlier state. {why}".strip())

    def key_at(self, head: models.Model, moment: datetime) -> str | None:
        """The key of what it was at a moment, None before it was first kept."""
        row = self._rows(head).filter(revision__date_created__lte=moment).first()
        return f"{self.prefix}{row.pk}" if row is not None else None


Piece = tuple[str, str]
"""("same" | "gone" | "new", words)"""


def words_compared(old: str, new: str) -> list[Piece]:
    """Two texts as pieces that are in both, only in the old, or only in the new one; by lines if they are long."""
    cut = (lambda text: text.splitlines(keepends=True)) if max(len(old), len(new)) > 2000 else _words
    before, after = cut(old), cut(new)
    pieces: list[Piece] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(("same", "".join(before[a:b])))
            continue
        if b > a:
            pieces.append(("gone", "".join(before[a:b])))
        if d > c:
            pieces.append(("new", "".join(after[c:d])))
    return pieces


def _words(text: str) -> list[str]:
    words: list[str] = []
    for character in text:
        if words and (character.isspace() == words[-1][-1].isspace()) and (character.isalnum() or character.isspace()):
            words[-1] += character
        else:
            words.append(character)
    return words
