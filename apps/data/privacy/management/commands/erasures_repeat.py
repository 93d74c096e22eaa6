"""Erase again whom a restored backup brought back."""

from typing import Any

from django.core.management.base import BaseCommand

from apps.data.privacy.erasing import erasure_repeat
from apps.data.privacy.erasures import erasures_folder, erasures_read


class Command(BaseCommand):
    help = "After a restore: erase again everybody whose erasure is on record outside the database."

    def handle(self, *args: Any, **options: Any) -> None:
        read = again = 0
        foreign = []
        for where, erasure in erasures_read():
            if erasure is None:
                foreign.append(where)
                continue
            read += 1
            again += erasure_repeat(erasure)
        for where in foreign:
            self.stderr.write(f"{where} was not signed by this installation: look into it by hand")
        self.stdout.write(f"{read} erasures on record in {erasures_folder()}, {again} of them done again.")
        if foreign:
            raise SystemExit(1)
