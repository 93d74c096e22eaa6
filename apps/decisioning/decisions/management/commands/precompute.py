"""`manage.py precompute CODE`: have ready what the next send of a playbook looks at."""

import signal
from types import FrameType
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.decisioning.decisions.ahead import Ahead, audience_precompute
from apps.foundation.core.errors import DomainError


class Command(BaseCommand):
    help = (
        "Put into Redis what the next send of a published playbook would have to make for everybody in its audience: "
        "their features, and what is chosen for them by the tiers of its slots. Of one with steps that is what they "
        "get to within PRECOMPUTE_AHEAD_MINUTES if they begin now, and what those under way get to. The send uses what "
        "still holds, and makes the rest; whoever changed meanwhile, or whose items did, is chosen for anew. Consent, "
        "draws and caps are asked at the send, always. Choices stay for PRECOMPUTED_SECONDS (some 600 bytes for each "
        "kind of people who are alike), so run it within some hours of the send; playbooks with a schedule or steps "
        "have it done by themselves (PRECOMPUTE_AHEAD_MINUTES). Stop it any time (Ctrl-C)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("code", help="of the playbook")

    def handle(self, *args: Any, code: str, **options: Any) -> None:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        self._stopping = False
        try:
            came = audience_precompute(playbook=code, told=self._progress, stop=lambda: self._stopping)
        except DomainError as error:
            raise CommandError(error.message) from error
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer: {error}. Run this again when it does.") from error
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        word = "Done" if came.done else "Stopped"
        self.stdout.write(
            f"{word}: {came.people:,} people, {came.made:,} copies of features, {came.choices:,} choices."
        )

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _progress(self, came: Ahead) -> None:
        self.stdout.write(f"{came.people:,} people")
        self.stdout.flush()
