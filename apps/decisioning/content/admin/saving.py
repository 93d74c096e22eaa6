"""What the admin pages of content share: they save by the services."""

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin

from apps.decisioning.content.forms import ServiceForm
from apps.foundation.accounts.guarding import GuardedPages
from apps.foundation.accounts.models import User
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.errors import DomainError

MORE_LANGUAGES = ("it", "es", "nl", "pl", "pt", "sv")
FIT = "min-w-0"  # of a fieldset, which else grows with its widest part on a phone
LINK = "text-primary-600 dark:text-primary-500 underline"


class ServiceAdmin(GuardedPages, ModelAdmin):
    """Saves by the services; what they refuse is told at the form's fields."""

    warn_unsaved_form = True
    compressed_fields = False
    change_form_before_template = "admin/conflict.html"
    list_per_page = 50

    class Media:
        css = {"all": ["tessera/content.css"]}

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


class VersionAdmin(ReadOnlyAdmin):
    """A version: looked at only, and reached from what it is a version of."""

    class Media:
        css = {"all": ["tessera/content.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"classes": (FIT,), "fields": self.get_fields(request, obj)})]
