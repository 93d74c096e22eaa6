"""`manage.py bounce_receive RECIPIENT < MAIL`: takes one mail that came back, from a mail server's pipe."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as AnyDatabaseError

from apps.data.profiles.errors import MasterKeyMissing
from apps.delivery.channels.bounces import MOST
from apps.surfaces.tracking.receiving import Taken, mail_take


class Command(BaseCommand):
    help = (
        "Takes a mail that came back, from standard input, for the address that it was sent to. Exit codes are those of"
        " sysexits.h, which mail servers know: 0 taken (or it says nothing of a message), 67 no address of ours, 75 try"
        " again later."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("recipient", help="the envelope's recipient, such as ${original_recipient} of Postfix")

    def handle(self, *args: Any, **options: Any) -> None:
        content = sys.stdin.buffer.read(MOST + 1)
        while sys.stdin.buffer.read(MOST):  # to its end, or the mail server sees a broken pipe
            pass
        try:
            taken = mail_take(recipient=options["recipient"], content=content)
        except (AnyDatabaseError, MasterKeyMissing, OSError) as error:
            self.stderr.write(f"not taken now: {type(error).__name__}")
            sys.exit(os.EX_TEMPFAIL)
        self.stdout.write(taken.value)
        if taken is Taken.UNKNOWN:
            sys.exit(os.EX_NOUSER)
