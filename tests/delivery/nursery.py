"""Starts real senders quickly: a process that has Django ready and forks a sender for each line that it reads.

A line is JSON: names of settings and their values. It answers with the sender's process number. Starting Django anew
for each sender that is to be killed would take most of the tests' time.
"""

import json
import os
import signal
import sys
from pathlib import Path


def senders_fork() -> None:
    """Read lines until there are no more."""
    import django

    django.setup()

    from django.conf import settings

    from apps.delivery.sending.windows import messages_send

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            for name, value in json.loads(line).items():
                setattr(settings, name, value)
            settings.DATA_DIR = Path(settings.DATA_DIR)
            messages_send(seconds=600)
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    senders_fork()
