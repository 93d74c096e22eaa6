"""Forms and pages of the admin that save by services: every door to a change is the same one.

A form's check is the service itself, rolled back, so that every problem is shown at its field.
"""

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin

from apps.foundation.core.conflicts import ConflictForm
from apps.foundation.core.errors import DomainError

from .guarding import GuardedPages
from .models import User


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


class ServiceAdmin(GuardedPages, ModelAdmin):
    """Saves by the services; what they refuse is told at the form's fields."""

    warn_unsaved_form = True
    compressed_fields = False
    change_form_before_template = "admin/conflict.html"
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what was sent can be rendered again from it

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if issubclass(form, ServiceForm):
            form.user = cast(User, request.user)
        return form

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        return form.instance

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        saved = form.service()
        obj.__dict__.update(saved.__dict__)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing beside the object itself."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except DomainError as error:
            return self.refused(request, error)

    def refused(self, request: HttpRequest, error: DomainError) -> HttpResponse:
        """The answer where the service refuses what the form took: it lost a race between the two checks."""
        messages.error(request, error.message)
        return HttpResponseRedirect(request.get_full_path())
