"""What the admin's pages ask before they show or change an object: the same `may` that the services ask."""

from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest

from .models import User
from .rights import may, who_may


class GuardedPages:
    """A mixin before a ModelAdmin: add, change and further rights (`has_…_permission`) of objects come from `may`.

    A POST to an object that one may only look at is a 403 that says who can.
    """

    model: type[Model]

    def may(self, request: HttpRequest, action: str, obj: Any = None) -> bool:
        """Whether the one who asks may do `action` to an object, or to that of an id; to any, where there is none."""
        user = cast(User, request.user)
        if not user.is_authenticated:
            return False
        subject = obj if isinstance(obj, Model) else self._of_id(obj) or self.model
        allowed = may(user, action, subject)
        if not allowed and isinstance(subject, Model):
            request.who_may = who_may(action, subject)  # type: ignore[attr-defined]  # for the page that says no
        return allowed

    def _of_id(self, pk: Any) -> Model | None:
        try:
            return None if pk is None else self.model._default_manager.filter(pk=pk).first()
        except (TypeError, ValueError, OverflowError):
            return None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change", obj)

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        if request.method == "POST":
            action = "add" if object_id is None else "change"
            subject = self._of_id(object_id)
            if (object_id is None or subject is not None) and not self.may(request, action, subject):
                raise PermissionDenied(who_may(action, subject or self.model))
        return super().changeform_view(request, object_id, *args, **kwargs)  # type: ignore[misc]  # the ModelAdmin's
