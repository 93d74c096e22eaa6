"""What the admin pages of all apps share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, cast

from django.core.paginator import Paginator
from django.db.models import JSONField, ManyToOneRel, Prefetch, prefetch_related_objects
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

_ROWS_MOST: Final = 5000


def once(field: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A readonly field that is worked out once for an object that is shown: a page asks for each three times."""
    name = f"_{field.__name__}_once"

    @wraps(field)
    def shown(self: Any, obj: Any) -> Any:
        if name not in obj.__dict__:
            obj.__dict__[name] = field(self, obj)
        return obj.__dict__[name]

    return shown


class NewestAhead(ModelAdmin):
    """A list that shows something of the newest version of each row: read for the whole page at once."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        versions = cast(ManyToOneRel, self.model._meta.get_field("versions"))
        head = versions.field.attname
        newest = versions.related_model._default_manager.order_by(head, "-number").distinct(head)
        prefetch_related_objects(found.result_list, Prefetch("versions", newest))
        return found


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
