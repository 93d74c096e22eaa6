"""What governance tells itself: the history of approval paths."""

from collections.abc import Mapping
from typing import Any

from django.contrib.contenttypes.models import ContentType

from apps.foundation.accounts.models import User

from .history import Kept
from .models import ApprovalPath
from .registry import history_register
from .workflow import path_save


def _path_revert(path: ApprovalPath, values: Mapping[str, Any], by: User, why: str) -> str:
    kind = ContentType.objects.filter(pk=values["kind_id"]).first() if values["kind_id"] else None
    path_save(
        path_id=path.pk,
        by=by,
        name=values["name"],
        kind=kind,
        tag=values["tag"],
        steps=values["steps"],
        active=values["active"],
        why=why,
    )
    return f"{path} asks whom it asked then. Open reviews go on with the path they were asked with."


def governing_register() -> None:
    """Called once, when Django is ready."""
    history_register(ApprovalPath, Kept(ApprovalPath, revert=_path_revert, leave=("updated_at",)))
