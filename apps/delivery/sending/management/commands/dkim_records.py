from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.delivery.channels.dkim import Signer


class Command(BaseCommand):
    help = "Print what must stand in DNS for the keys of DKIM_KEYS, as lines of a zone file."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            keys = Signer(settings.DKIM_KEYS).keys
        except ValueError as error:
            raise CommandError(str(error)) from None
        for of_domain in keys.values():
            for key in of_domain:
                parts = [key.record[at : at + 250] for at in range(0, len(key.record), 250)]
                text = " ".join(f'"{part}"' for part in parts)
                self.stdout.write(f"{key.selector}._domainkey.{key.domain}. IN TXT ( {text} )")
