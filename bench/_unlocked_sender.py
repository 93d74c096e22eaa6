"""A sender whose gate takes no lock: what `bench/preferences.py --without-lock` must find out."""

# ruff: noqa: E402  # Django is set up before models are imported
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from apps.delivery.sending import gate
from apps.delivery.sending.windows import messages_send


def no_lock(**people: Any) -> None:
    """Instead of `gate_lock`."""


if __name__ == "__main__":
    setattr(gate, "gate_lock", no_lock)  # noqa: B010  # not one of its own names
    messages_send(seconds=3600)
