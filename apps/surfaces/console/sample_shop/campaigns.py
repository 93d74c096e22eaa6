"""What the sample shop's marketers made: content, audiences and playbooks, each agreed to by somebody else."""

from collections.abc import Callable, Mapping
from datetime import datetime

from apps.foundation.accounts.models import User


def campaigns_make(*, staff: Mapping[str, User], as_of: datetime, done: Callable[[str, int], None]) -> None:
    """Content, audiences, recommendations and playbooks. done: told of each, and how many there are."""
