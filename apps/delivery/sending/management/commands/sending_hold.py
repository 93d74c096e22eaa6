from typing import Any

from django.core.management.base import BaseCommand

from apps.delivery.sending.home import sending_hold


class Command(BaseCommand):
    help = "Let nothing out until manage.py sending_take_over: for a restore that can't be told, as of a whole machine."

    def handle(self, *args: Any, **options: Any) -> None:
        sending_hold()
        self.stdout.write("nothing is sent any more; manage.py sending_take_over lets it go on")
