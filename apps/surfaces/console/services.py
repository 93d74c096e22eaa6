"""Orders of staff to delivery, with the audit log."""

from django.db import transaction

from apps.decisioning.playbooks.models import Run
from apps.delivery.sending.models import Dispatch
from apps.delivery.sending.services import dispatch_pause, dispatch_resume, dispatch_throttle
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.errors import Conflict, NotFound
from apps.foundation.governance.services import audit_record


def _dispatch(run_id: int, by: User, action: str, what: str) -> Dispatch:
    run = Run.objects.select_related("playbook__owner").filter(pk=run_id).first()
    if run is None:
        raise NotFound("run_unknown", "There is no such run")
    right_require(by, action, run.playbook, what=what)
    dispatch = Dispatch.objects.filter(run_id=run_id).first()
    if dispatch is None:
        raise Conflict("nothing_to_send", "Nothing of this run is to be sent yet: try again in a moment")
    return dispatch


def run_pause(*, run_id: int, by: User) -> None:
    """Hold a run's sending; deciding goes on. Raises NotAllowed, Conflict when nothing is to be sent (any more)."""
    with transaction.atomic():
        dispatch = _dispatch(run_id, by, "stop", "pause this run")
        dispatch_pause(dispatch_id=dispatch.pk)
        audit_record(action="playbooks.run.paused", actor=by, subject=Run.objects.get(pk=run_id))


def run_resume(*, run_id: int, by: User) -> None:
    """Let a held run go on. Raises NotAllowed, Conflict when it was cancelled."""
    with transaction.atomic():
        dispatch = _dispatch(run_id, by, "run", "resume this run")
        dispatch_resume(dispatch_id=dispatch.pk)
        audit_record(action="playbooks.run.resumed", actor=by, subject=Run.objects.get(pk=run_id))


def run_throttle(*, run_id: int, per_minute: int | None, by: User) -> None:
    """Let at most so many messages of a run out in a minute; None: as fast as it goes.

    Raises NotAllowed, Conflict when nothing is to be sent (any more), Invalid.
    """
    with transaction.atomic():
        dispatch = _dispatch(run_id, by, "run", "say how fast this run goes")
        dispatch_throttle(dispatch_id=dispatch.pk, per_minute=per_minute)
        run = Run.objects.get(pk=run_id)
        audit_record(action="playbooks.run.throttled", actor=by, subject=run, data={"per_minute": per_minute})
