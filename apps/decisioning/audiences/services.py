"""Making and changing audiences."""

from collections.abc import Mapping
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


def audience_create(
    *, name: str, rule: object, owner: User, description: str = "", watched: bool = False, code: str = ""
) -> Audience:
    """A new audience of `owner`, who makes it. Its rule is kept in its canonical form.

    code: what rules name it by, "" for one made of its name.

    Raises NotAllowed, Invalid for a rule that `rule_admit` refuses or an empty name, Conflict for a name or code that
    is taken.
    """
    right_require(owner, "add", Audience, what="set up audiences")
    parsed = rule_to_json(rule_admit(rule))
    audience = Audience(name=_name(name), description=description, rule=parsed, owner=owner, watched=watched)
    audience.code = code or code_free(audience.name)
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


def audience_put(*, code: str, fields: Mapping[str, Any], by: User) -> tuple[Audience, bool]:
    """Have the audience of this code say this; what is not named stays, and what changes nothing leaves no version.
    Without one it is made, of `by`, which needs `name` and `rule`.

    fields: `name`, `rule`, `description`, `watched`. Returns it, and whether it is new. Raises as `audience_create` and
    `audience_update` do.
    """
    with transaction.atomic():
        known = _locked(code)
        if known is None:
            for name in ("name", "rule"):
                if name not in fields:
                    raise Invalid("field_missing", f"A new audience needs its {name}", {"field": name})
            try:
                return audience_create(code=code, owner=by, **fields), True
            except Conflict:
                known = _locked(code)  # made by another request meanwhile, which has ended
                if known is None:
                    raise
        right_require(by, "change", known, what="change this audience")
        said = {**fields, "name": _name(fields.get("name", known.name))}
        if "rule" in said:
            said["rule"] = rule_to_json(rule_admit(said["rule"], own=known.code))
        if all(getattr(known, name) == value for name, value in said.items()):
            return known, False
        kept = {"description": known.description, "rule": known.rule}
        return audience_update(audience_id=known.pk, by=by, **{**kept, **said}), False


def _locked(code: str) -> Audience | None:
    return Audience.objects.select_for_update().filter(code=code).first()


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
        if "audiences_audience_name" in str(fault):
            raise Conflict("audience_name_taken", f"There is an audience “{audience.name}” already") from None
        if "audiences_audience_code" in str(fault):
            raise Conflict(
                "audience_code_taken", f"There is an audience with the code {audience.code} already"
            ) from None
        raise
