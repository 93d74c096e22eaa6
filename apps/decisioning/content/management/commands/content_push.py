"""Take a folder's changes into the database."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.decisioning.content.exchange import Plan, entry_diff, lock_read, lock_write, push_plan
from apps.decisioning.content.folders import folder_read
from apps.decisioning.content.services import folder_push
from apps.decisioning.content.stored import entries_stored
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import DomainError


class Command(BaseCommand):
    """manage.py content_push DIR --as EMAIL"""

    help = (
        "Show what the folder DIR changed since it was pulled, as a diff, and take it into the database: new versions, "
        "drafts that go through the same approval as any other. It is done as the member of staff named by --as, with "
        "their rights; all of it or nothing. What somebody changed in the database since the pull is never "
        "overwritten. Nothing is deleted: an object without its files stays."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dir", type=Path, help="the folder, as content_pull wrote it")
        parser.add_argument(
            "--as", dest="email", required=True, metavar="EMAIL", help="who pushes: their account's address"
        )
        parser.add_argument("--note", default="", help="why: for the history, and for those who approve")
        parser.add_argument("--submit", action="store_true", help="ask for approval of the new versions at once")
        parser.add_argument("--dry-run", action="store_true", help="show the diff, try everything, keep nothing")
        parser.add_argument("--yes", action="store_true", help="don't ask: for CI")

    def handle(self, *args: Any, **options: Any) -> None:
        root: Path = options["dir"]
        by = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        if by is None:
            raise CommandError(f"There is no active member of staff {options['email']}")
        try:
            folder, base = folder_read(root), lock_read(root)
        except NotADirectoryError:
            raise CommandError(f"{root} is no folder") from None
        except ValueError as error:
            raise CommandError(str(error)) from None
        stored = entries_stored()
        plan = push_plan(folder, stored, base)
        self._show(plan, stored)
        if not plan.writes and not plan.conflicts and not folder.problems:
            self.stdout.write("Nothing to push.")
            return
        try:
            how: dict[str, Any] = {"note": options["note"], "submit": options["submit"]}
            folder_push(by=by, folder=folder, base=base, dry_run=True, **how)
            if options["dry_run"]:
                self.stdout.write(f"This would be taken: {self._counted(plan)}. Nothing was changed.")
                return
            if not options["yes"] and input(f"Push {self._counted(plan)}? [y/N] ").strip().lower() not in ("y", "yes"):
                self.stdout.write("Nothing was changed.")
                return
            done = folder_push(by=by, folder=folder, base=base, **how)
        except DomainError as error:
            for problem in error.extra.get("problems", ()):
                place = f"{problem['where']}:{problem['line']}" if problem["line"] else problem["where"]
                self.stderr.write(f"{place}: {' '.join(part for part in (problem['token'], problem['mend']) if part)}")
            raise CommandError(
                "Nothing was changed." if error.extra.get("problems") else f"Nothing was changed: {error.message}"
            ) from None
        after = entries_stored()
        same = {
            label for label, mine in folder.entries.items() if label in after and after[label].digest == mine.digest
        }
        lock_write(root, base | {label: after[label].digest for label in same})
        asked = " Approval is asked for." if options["submit"] else ""
        self.stdout.write(f"Pushed {self._counted(done)} as {by.email}.{asked}")

    def _show(self, plan: Plan, stored: Any) -> None:
        for entry in plan.writes:
            for line in entry_diff(stored.get(entry.label), entry):
                self.stdout.write(line)
        for label in plan.newer:
            self.stdout.write(f"newer in the database, left as it is (pull it): {label}")
        for label in plan.gone:
            self.stdout.write(f"no longer in the folder, stays in the database: {label}")

    @staticmethod
    def _counted(plan: Plan) -> str:
        return f"{len(plan.new)} new, {len(plan.changed)} changed"
