"""Forms that ask the service whether it would save, and show every problem at its field."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import transaction
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
)

from apps.foundation.accounts.models import User
from apps.foundation.core.conflicts import ConflictForm
from apps.foundation.core.errors import DomainError

MAX_JSON = 200_000
_CODE = {"spellcheck": "false", "autocomplete": "off", "autocapitalize": "off", "wrap": "off"}


def code_area(rows: int) -> UnfoldAdminTextareaWidget:
    """A text area for sources: monospace, no wrapping, no spelling."""
    return UnfoldAdminTextareaWidget({**_CODE, "rows": rows, "class": "t-code"})


class ServiceForm(ConflictForm, forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Its check is the service itself, rolled back: what the form accepts, the service saves."""

    user: User
    tells_lines = True  # of a source, whose lines people see
    asks_later: tuple[type[DomainError], ...] = ()  # refusals that a page of its own asks about, once the form is fine

    def service(self) -> Any:
        """Save by the service, as `user`; the row."""
        raise NotImplementedError

    def field_of(self, where: str) -> str | None:
        """The form's field that a problem's place belongs to; None for the whole form."""
        return where if where in self.fields else None

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's hook behind the cleaning of fields
        if self.errors:
            return
        try:
            with transaction.atomic():
                self.service()
                transaction.set_rollback(True)
        except DomainError as error:
            if isinstance(error, self.asks_later):
                return
            problems = error.extra.get("problems") or [{"where": "", "line": 0, "token": "", "mend": error.message}]
            for problem in problems:
                field = self.field_of(problem["where"])
                self.add_error(field, _sentence(problem, with_place=field is None, lines=self.tells_lines))

    def validate_unique(self) -> None:
        """Left to the service, which says which name is taken."""


def _sentence(problem: Mapping[str, Any], *, with_place: bool, lines: bool) -> str:
    line = f"Line {problem['line']}: " if lines and problem["line"] else ""
    place = f"{problem['where']}: " if with_place and problem["where"] else ""
    token = f"{problem['token']} " if problem["token"] else ""
    text = f"{token}{problem['mend']}"
    return place + line + (text if token or line or place else text[:1].upper() + text[1:])
