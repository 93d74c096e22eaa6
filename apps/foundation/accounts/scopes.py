"""What a person's roles reach beside what is their own, such as the markets they work in.

A higher app says which of its objects an administrator gives to people; this one knows none of them.
"""

from dataclasses import dataclass

from django.db.models import Model


@dataclass(frozen=True, slots=True)
class ObjectScope:
    """Objects that are given to people, by an object permission on each.

    key: of form fields and the audit log; right: `app.codename`, as given on the object; help: what it means for whom.
    """

    key: str
    title: str
    model: type[Model]
    right: str
    help: str = ""

    @property
    def codename(self) -> str:
        return self.right.partition(".")[2]


SCOPES: dict[str, ObjectScope] = {}


def scope_declare(scope: ObjectScope) -> None:
    """An app calls it in its `ready()`, once for each kind."""
    SCOPES[scope.key] = scope
