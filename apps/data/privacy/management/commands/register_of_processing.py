from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.data.privacy.processing import register_json, register_markdown


class Command(BaseCommand):
    help = "Print the register of processing (GDPR, Article 30), as Markdown or JSON, from what each app declares."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON instead of Markdown")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(register_json() if options["json"] else register_markdown())
