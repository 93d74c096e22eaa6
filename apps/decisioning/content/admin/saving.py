"""What the admin pages of content share: they save by the services."""

from typing import Any

from django.http import HttpRequest

from apps.foundation.accounts.saving import ServiceAdmin as SavingAdmin
from apps.foundation.core.admin import ReadOnlyAdmin

MORE_LANGUAGES = ("it", "es", "nl", "pl", "pt", "sv")
FIT = "min-w-0"  # of a fieldset, which else grows with its widest part on a phone
LINK = "text-primary-600 dark:text-primary-500 underline"


class ServiceAdmin(SavingAdmin):
    """A page of content."""

    class Media:
        css = {"all": ["tessera/content.css"]}


class VersionAdmin(ReadOnlyAdmin):
    """A version: looked at only, and reached from what it is a version of."""

    class Media:
        css = {"all": ["tessera/content.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"classes": (FIT,), "fields": self.get_fields(request, obj)})]
