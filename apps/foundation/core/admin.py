"""What the admin pages of all apps share."""

from typing import Any, Final

from django.core.paginator import Paginator
from django.db.models import JSONField
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

_ROWS_MOST: Final = 5000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Pages through the first 5,000 rows: a table of millions is never counted for a page."""

    @cached_property
    def count(self) -> int:
        """How many rows can be paged through."""
        return len(self._keys[:_ROWS_MOST])

    @cached_property
    def more(self) -> bool:
        """Whether there are rows beyond those."""
        return len(self._keys) > _ROWS_MOST

    @cached_property
    def _keys(self) -> list[Any]:
        return list(self.object_list[: _ROWS_MOST + 1].values_list("pk", flat=True))  # type: ignore[attr-defined]  # a queryset


class ReadOnlyAdmin(ModelAdmin):
    """Looked at, never edited here."""

    show_full_result_count = False
    list_per_page = 50
    paginator = BoundedPaginator

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
