"""Two people with one object open: the second to save is told, sees both, and loses nothing.

An edit form carries what its fields said when it was opened, signed (`seen`). When they say something else by the time
it comes back, nothing is saved: what only the other one changed is taken over into the form, what both changed stays as
the second wrote it, and `conflict` tells of each such field what both began with, what is saved now and what they wrote
(`templates/admin/conflict.html` shows it). Saving once more saves on top of that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.core.signing import BadSignature, Signer

from .errors import Conflict

_SAID = (
    "Somebody else saved this while you were editing, so nothing of yours is saved yet. Look at both below; "
    "saving again saves what the form says now."
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs. began: what both started from; theirs: as saved now; mine: as it was written.

    kind: `both` changed it, and the form keeps mine; only `theirs`, which the form took over; or only `mine`.
    """

    name: str
    label: str
    began: str
    theirs: str
    mine: str
    kind: str
    input_id: str


class _SeenField(forms.CharField):
    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


class ConflictForm:
    """A mixin before a ModelForm. carried: hidden fields of which the saved value is taken up with the other's."""

    carried: tuple[str, ...] = ("base", "seen_at")
    conflict: tuple[Difference, ...] = ()
    instance: Any
    data: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self._form.fields["seen"] = _SeenField(required=False)

    @property
    def _form(self) -> Any:
        return self

    def get_initial_for_field(self, field: forms.Field, field_name: str) -> Any:
        if field_name == "seen":
            return self._token({name: said(value) for name, _, value in self._saved()})
        return super().get_initial_for_field(field, field_name)  # type: ignore[misc]  # the ModelForm's

    def _saved(self) -> Iterator[tuple[str, forms.Field, Any]]:
        """Each field that people edit, with what is saved in it, as its input would post it."""
        for name, field in self._form.fields.items():
            if name != "seen" and name not in self.carried and not field.disabled:
                yield name, field, _posted(field.prepare_value(self.get_initial_for_field(field, name)))

    def _token(self, values: dict[str, str]) -> str:
        subject = f"{self.instance._meta.label_lower} {self.instance.pk}"
        return Signer(salt=f"seen {subject}").sign_object(values, compress=True)

    def _began(self) -> dict[str, str] | None:
        subject = f"{self.instance._meta.label_lower} {self.instance.pk}"
        try:
            return dict(Signer(salt=f"seen {subject}").unsign_object(self.data.get("seen", "")))
        except BadSignature:
            return None  # a form of before this was there; the services still compare version numbers

    def full_clean(self) -> None:
        if self._form.is_bound and self.instance.pk is not None:
            self._compare()
        super().full_clean()  # type: ignore[misc]  # the ModelForm's
        if self.conflict:
            self._form.add_error(None, forms.ValidationError(_SAID, code="conflict"))

    def _compare(self) -> None:
        began = self._began()
        saved = list(self._saved())
        if began is None or all(began.get(name, "") == said(value) for name, _, value in saved):
            return
        data = self.data.copy()
        found: list[Difference] = []
        for name, field, value in saved:
            mine = said(field.widget.value_from_datadict(self.data, self._form.files, name))
            was, theirs = began.get(name, ""), said(value)
            if mine == theirs:
                continue
            kind = "mine" if theirs == was else "theirs" if mine == was else "both"
            if kind == "theirs":
                _put(data, name, value)
            label = str(field.label or name.replace("_", " ").capitalize())
            found.append(Difference(name, label, was, theirs, mine, kind, self._form[name].auto_id))
        data["seen"] = self._token({name: said(value) for name, _, value in saved})
        for name in self.carried:
            if name in self._form.fields:
                data[name] = _posted(self.get_initial_for_field(self._form.fields[name], name))
        self.data = data
        if any(one.kind != "mine" for one in found):
            self.conflict = tuple(found)


def said(value: Any) -> str:
    """What an input says, as a text to compare and to show."""
    if isinstance(value, list | tuple):
        return "\n".join(sorted(str(one) for one in value))
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else str(value).replace("\r\n", "\n").strip()


def _posted(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M")
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return value if isinstance(value, bool) else "" if value is None else str(value)


def _put(data: Any, name: str, value: Any) -> None:
    if isinstance(value, list):
        data.setlist(name, value)
    elif value is False:
        data.pop(name, None)
    else:
        data[name] = "on" if value is True else value


def unchanged_since(row: Any, seen_at: datetime | None) -> None:
    """Raise Conflict when a locked row was saved after `seen_at`, its `updated_at` as the editor saw it."""
    if seen_at is not None and row.updated_at != seen_at:
        raise Conflict("changed_meanwhile", "Somebody else saved this meanwhile: open it again and look at both")
