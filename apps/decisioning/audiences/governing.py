"""Audiences in governance: no drafts of their own (a playbook's version pins the rule), but a history."""

from collections.abc import Mapping
from typing import Any

from apps.foundation.accounts.models import User
from apps.foundation.governance.history import Kept
from apps.foundation.governance.registry import history_register

from .models import Audience
from .services import audience_update


def _revert(audience: Audience, values: Mapping[str, Any], by: User, why: str) -> str:
    kept = {name: values[name] for name in ("name", "description", "rule")}
    kept["watched"] = values.get("watched", audience.watched)
    audience_update(audience_id=audience.pk, by=by, why=why, **kept)
    return f"{audience} is as it was. What is published keeps the rule it was approved with."


def governing_register() -> None:
    """Called once, when Django is ready."""
    history_register(Audience, Kept(Audience, revert=_revert, leave=("updated_at", "looked_at", "looked_rule")))
