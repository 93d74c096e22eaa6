"""Who may do what to playbooks and their runs: whoever owns one, and those with whom they share it."""

from apps.foundation.accounts.rights import Way, owners_way, shares_declare, ways_declare

from .models import Playbook

SHARED = ("playbooks.change_playbook", "playbooks.publish_playbook", "playbooks.run_playbook")
"""What is given on a playbook to somebody with whom its owner shares it."""


def rights_declare() -> None:
    """Called when the app is ready. run: start and resume runs; stop: pause and cancel them.

    Anybody who looks after the installation may stop what goes wrong, and start nothing by that.
    """
    run = owners_way("playbooks.run_playbook")
    ways_declare(Playbook, "change", owners_way("playbooks.change_playbook"))
    ways_declare(Playbook, "publish", owners_way("playbooks.publish_playbook"))
    ways_declare(Playbook, "run", run)
    shares_declare(Playbook, *SHARED)
    ways_declare(Playbook, "stop", run, Way("playbooks.stop_playbook"))
