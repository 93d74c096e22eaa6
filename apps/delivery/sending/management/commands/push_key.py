from typing import Any

from django.core.management.base import BaseCommand

from apps.delivery.channels.push_crypto import key_new


class Command(BaseCommand):
    help = "Make a key for Web Push (VAPID) and print it, to be put into PUSH_KEY. Nothing is stored."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(key_new())
