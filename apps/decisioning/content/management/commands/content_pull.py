"""Write content into a folder."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.decisioning.content.exchange import lock_read, pull_plan, pull_write
from apps.decisioning.content.folders import folder_read
from apps.decisioning.content.stored import entries_stored


class Command(BaseCommand):
    """manage.py content_pull DIR"""

    help = (
        "Write the newest version of all content into the folder DIR, for git: brands, markets, block types, blocks, "
        "templates and their tests. Files that say the same already are left as they are. What was changed in the "
        "folder and not pushed is never overwritten: what was changed on both sides is told, and nothing is written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dir", type=Path, help="the folder; it is made if it isn't there")
        parser.add_argument(
            "--force", action="store_true", help="overwrite what was changed in the folder; commit it to git before"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        root: Path = options["dir"]
        root.mkdir(parents=True, exist_ok=True)
        folder = folder_read(root)
        try:
            base = lock_read(root)
        except ValueError as error:
            raise CommandError(str(error)) from None
        stored = entries_stored()
        plan = pull_plan(folder, stored, base, force=options["force"])
        if plan.conflicts:
            for entry in plan.conflicts:
                self.stderr.write(f"conflict  {entry.file}: changed in the folder and in the database")
            raise CommandError(
                "Nothing was written. Commit the folder to git, pull with --force, and put both changes together there"
            )
        pull_write(root, folder, stored, plan, base)
        for word, labels in (
            ("new", [entry.label for entry in plan.new]),
            ("changed", [entry.label for entry in plan.changed]),
            ("removed", plan.gone),
            ("yours", plan.own),
        ):
            for label in labels:
                self.stdout.write(f"{word:<8}  {label}" + ("  (not pushed yet, kept)" if word == "yours" else ""))
        written = len(plan.writes)
        self.stdout.write(f"{len(stored)} objects in the database, {written} written to {root}")
