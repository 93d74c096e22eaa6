"""What the admin pages of all apps share."""

from typing import Any

from django.db.models import JSONField
from django.http import HttpRequest
from unfold.admin import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Looked at, never edited here."""

    show_full_result_count = False
    list_per_page = 50

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without documents that are not there, which would read as “null”."""
        documents = {field.name for field in self.model._meta.get_fields() if isinstance(field, JSONField)}
        return [
            name
            for name in super().get_fields(request, obj)
            if name not in documents or obj is None or getattr(obj, name) is not None
        ]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
