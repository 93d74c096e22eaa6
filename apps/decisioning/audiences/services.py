"""Making and changing audiences."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.conflicts import unchanged_since
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.governance.history import revision_begin, revision_keep
from apps.foundation.governance.services import audit_record

from .models import Audience, code_free
from .rules import asks_more_than_digests, rule_to_json
from .selectors import rule_admit
from .watching import audience_forget


def audience_create(*, name: str, rule: object, owner: User, description: str = "", watched: bool = False) -> Audience:
    """A new audience of `owner`, who makes it. Its rule is kept in its canonical form.

    Raises NotAllowed, Invalid for a rule that `rule_admit` refuses or an empty name, Conflict for a name that is taken.
    """
    right_require(owner, "add", Audience, what="set up audiences")
    parsed = rule_to_json(rule_admit(rule))
    audience = Audience(name=_name(name), description=description, rule=parsed, owner=owner, watched=watched)
    audience.code = code_free(audience.name)
    with transaction.atomic():
        _written(audience)
        revision_keep(row=audience, by=owner)
        audit_record(action="audience.create", actor=owner, subject=audience, data={"rule": audience.rule})
    return audience


def audience_update(
    *,
    audience_id: int,
    name: str,
    rule: object,
    by: User,
    description: str = "",
    watched: bool | None = None,
    seen_at: datetime | None = None,
    why: str = "",
) -> Audience:
    """Change an audience. What was approved stays as it was: a playbook's version pins the rule.

    watched: whether who enters and leaves is told of, None for as it is.

    Raises NotAllowed, Invalid, Conflict as `audience_create` does, and NotFound.
    """
    with transaction.atomic():
        audience = Audience.objects.select_for_update().filter(pk=audience_id).first()
        if audience is None:
            raise NotFound("audience_unknown", f"There is no audience {audience_id}")
        right_require(by, "change", audience, what="change this audience")
        unchanged_since(audience, seen_at)
        parsed = rule_to_json(rule_admit(rule, own=audience.code))
        revision_begin(audience)
        data: dict[str, Any] = {"rule": parsed}
        if audience.rule != parsed:
            data["rule_before"] = audience.rule
        audience.name, audience.description, audience.rule, audience.updated_at = (
            _name(name),
            description,
            parsed,
            now(),
        )
        if watched is not None and watched != audience.watched:
            audience.watched = data["watched"] = watched
            if not watched:
                audience_forget(audience_id=audience.pk)
                audience.looked_at = audience.looked_rule = None
        _written(audience)
        revision_keep(row=audience, by=by, why=why)
        audit_record(action="audience.update", actor=by, subject=audience, data=data)
    return audience


def sensitive_objections_of(name: str) -> list[str]:
    """The audiences whose rules ask of an attribute what no sensitive one answers, in words."""
    rules = Audience.objects.order_by("name").values_list("name", "rule")
    return [f"the rule of the audience “{audience}”" for audience, rule in rules if asks_more_than_digests(rule, name)]


def _name(name: str) -> str:
    if not name.strip():
        raise Invalid("audience_name_empty", "Give the audience a name")
    return name.strip()


def _written(audience: Audience) -> None:
    try:
        with transaction.atomic():
            audience.save()
    except IntegrityError as fault:
        if "audiences_audience_name" not in str(fault):
            raise
        raise Conflict("audience_name_taken", f"There is an audience “{audience.name}” already") from None
