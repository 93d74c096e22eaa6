"""Who may give orders to delivery, which knows no playbooks: whoever may give them to the playbook of the run."""

from typing import cast

from django.db.models import Model

from apps.decisioning.playbooks.models import Playbook
from apps.delivery.sending.models import Dispatch
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import Scope, Way, may, ways_declare, ways_of


def _playbook(subject: Model) -> Playbook | None:
    return Playbook.objects.filter(runs=cast(Dispatch, subject).run_id).first()


def _of_playbook(action: str) -> Scope:
    def scope(user: User, subject: Model) -> bool:
        playbook = _playbook(subject)
        return playbook is not None and may(user, action, playbook)

    return scope


def rights_declare() -> None:
    """Called when the app is ready."""
    for action in ("run", "stop"):
        ways = [Way(way.right, _of_playbook(action), way.who) for way in ways_of(Playbook, action)]
        ways_declare(Dispatch, action, *ways)
