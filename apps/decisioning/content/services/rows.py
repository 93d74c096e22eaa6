"""What every write about content shares: the right, the row locked, saved and audited."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from apps.decisioning.content.contracts import Problem, problems_as_data
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.governance.history import Kept, revision_begin, revision_keep
from apps.foundation.governance.registry import histories_of
from apps.foundation.governance.services import audit_record

M = TypeVar("M", bound=models.Model)


def known(values: Mapping[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
    unknown = sorted(set(values) - allowed)
    if unknown:
        raise Invalid("field_unknown", f"Can't be set: {', '.join(unknown)}")
    return dict(values)


def locked(model: type[M], pk: int) -> M:
    row = model._default_manager.select_for_update().filter(pk=pk).first()
    if row is None:
        raise NotFound("content_unknown", f"There is no such {model._meta.verbose_name}")
    return row


def assign(row: models.Model, values: Mapping[str, Any]) -> list[str]:
    """Set fields of a row; the names of those that changed."""
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    return changed


def created(row: M, by: User, action: str, taken: str, why: str = "") -> M:
    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
        with transaction.atomic():
            row.save(force_insert=True)
    except ValidationError as error:
        problems = [Problem(field, 0, "", " ".join(messages)) for field, messages in error.message_dict.items()]
        raise Invalid("content_refused", str(problems[0]), {"problems": problems_as_data(problems)}) from None
    except IntegrityError:
        raise Conflict("name_taken", taken) from None
    audit_record(action=action, actor=by, subject=row)
    _keep(row, by, why)
    return row


def _keep(row: models.Model, by: User, why: str) -> None:
    if _kept(type(row)):
        revision_keep(row=row, by=by, why=why)


def _kept(model: type[models.Model]) -> bool:
    return any(isinstance(source, Kept) for source in histories_of(model))


def saved(row: M, changed: Sequence[str], by: User, action: str, why: str = "") -> M:
    if changed:
        if _kept(type(row)):
            revision_begin(row)
        try:
            row.full_clean(validate_unique=False, validate_constraints=False)
            with transaction.atomic():
                row.updated_at = now()  # type: ignore[attr-defined]  # every model that is edited has it
                row.save(update_fields=[*changed, "updated_at"])
        except ValidationError as error:
            problems = [Problem(field, 0, "", " ".join(messages)) for field, messages in error.message_dict.items()]
            raise Invalid("content_refused", str(problems[0]), {"problems": problems_as_data(problems)}) from None
        except IntegrityError:
            raise Conflict("name_taken", "That name is in use already: choose another") from None
        audit_record(action=action, actor=by, subject=row, data={"changed": list(changed)})
        _keep(row, by, why)
    return row
