"""What `import_profiles` and `import_orders` share: arguments, progress on the terminal, report."""

import shutil
import sys
import textwrap
import time
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.imports.mapping import KINDS, Mapping, mapping_parse
from apps.data.imports.models import Import
from apps.data.imports.presets import PRESETS, preset_data
from apps.data.imports.selectors import figures_list, percent_done
from apps.data.imports.services import Grant, import_open, import_run
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import DomainError, Invalid

_EPILOG = """
The file is read once, in little memory; .gz is unpacked on the way. A bad line costs that line: it goes to
the errors file with its number and the reason. Running the command twice changes nothing. After a stop
(Ctrl-C, a crash) the same command finishes the import from where it was. Figures go to the standard
output, everything else to the standard error output.

Columns: --preset for the files of known tools, or --mapping with a YAML file of your own, such as

{example}

{fields}
Beside `columns` it may hold {settings}. docs/how-it-works/imports.md explains each.

Consent: nothing is granted unless you say so, and a withdrawal is never lifted.
  --consent-column "Accepts Marketing"
        grants marketing where this column says yes
  --consent-column "Accepts Tracking=tracking"
        the same for another purpose; may be given several times
  --grant marketing --evidence "Newsletter form, double opt-in since 2019" --by anna@shop.example
        a named member of staff vouches for everybody in the file
"""
_EXAMPLES = {
    "orders": """\
  source: my-shop
  currency: EUR
  date_format: "%d.%m.%Y %H:%M"
  time_zone: Europe/Vienna
  decimal: ","
  columns:
    order: Order number
    placed_at: Date
    sku: Article
    title: Text
    quantity: Quantity
    unit_price: Price
    external_id: Customer number
    email: [E-mail, Invoice e-mail]      # the first that is filled
  cancelled:
    - {column: State, words: [cancelled, refunded]}""",
    "profiles": """\
  source: my-shop
  columns:
    external_id: Customer number
    email: [E-mail, Invoice e-mail]      # the first that is filled
    first_name: First name
    country: Country                     # a code or an English name
  attributes:
    loyalty_tier: Customer class""",
}
_SETTINGS = {
    "orders": "source, currency, cancelled, services, date_format, time_zone, decimal, delimiter, encoding, carry,"
    " whole_orders, optional, attributes, address_template, consent",
    "profiles": "source, date_format, time_zone, delimiter, encoding, optional, attributes, address_template, consent",
}


class ImportCommand(BaseCommand):
    """A command that imports files of one kind."""

    kind = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser, with the whole explanation below the options."""
        epilog = _EPILOG.format(
            example=_EXAMPLES[self.kind],
            fields=textwrap.fill(f"The fields are {', '.join(KINDS[self.kind])}.", 100),
            settings=textwrap.fill(_SETTINGS[self.kind], 100),
        )
        parser = super().create_parser(prog_name, subcommand, epilog=epilog, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        presets = [name for name, kinds in PRESETS.items() if self.kind in kinds]
        parser.add_argument("file", type=Path, help="a CSV file or .csv.gz, its columns named in the first line")
        how = parser.add_mutually_exclusive_group(required=True)
        how.add_argument("--preset", choices=presets, help="whose export the file is")
        how.add_argument("--mapping", type=Path, metavar="FILE", help="a mapping of your own, in YAML")
        parser.add_argument(
            "--source",
            metavar="NAME",
            help="the shop whose customer and order numbers these are",
        )
        parser.add_argument(
            "--address-template",
            metavar="ADDRESS",
            help="makes an address for people without one: customer-{id}@example.com",
        )
        parser.add_argument(
            "--consent-column",
            action="append",
            default=[],
            metavar="COLUMN[=PURPOSE]",
            help="grant consent where this column says yes (purpose: marketing)",
        )
        parser.add_argument("--grant", metavar="PURPOSE", help="grant consent for everybody in the file")
        parser.add_argument("--evidence", metavar="TEXT", help="with --grant: how you know that they agreed")
        parser.add_argument("--by", metavar="EMAIL", help="the member of staff who imports, and vouches for --grant")
        parser.add_argument("--errors", type=Path, metavar="FILE", help="copy the errors file to here")
        parser.add_argument("--again", action="store_true", help="read a file anew that was imported already")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import the file."""
        try:
            by = self._staff(options["by"])
            job = import_open(
                kind=self.kind,
                path=options["file"],
                mapping=self._mapping(options),
                grant=self._grant(options, by),
                by=by,
                again=options["again"],
            )
            if job.state == Import.State.DONE:
                self.stderr.write(f"This file was imported already (import {job.pk}). Nothing was changed.")
            progress = _Progress(self.stderr)
            try:
                job = import_run(import_id=job.pk, told=progress.show)
            finally:
                progress.end()
        except DomainError as error:
            raise CommandError(error.message) from None
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped. What was read is safe: the same command finishes the import.", returncode=130
            ) from None
        self._report(job, options["errors"])

    def _report(self, job: Import, errors: Path | None) -> None:
        figures = figures_list(job.counts)
        width = max((len(count) for _, count in figures), default=0)
        for what, count in figures:
            self.stdout.write(f"{count:>{width}}  {what}")
        written = Path(job.errors_path)
        if errors is not None and written.is_file():
            shutil.copyfile(written, errors)
            written = errors
        if job.counts.get("lines_bad") or job.counts.get("values_bad"):
            self.stderr.write(f"What was left out, and why: {written}")
        if job.state == Import.State.FAILED:
            raise CommandError(job.problem)
        if job.state == Import.State.STOPPED:
            raise CommandError("Stopped. What was read is safe: the same command finishes the import.", returncode=130)

    def _mapping(self, options: dict[str, Any]) -> Mapping:
        if options["preset"]:
            data: Any = preset_data(options["preset"], kind=self.kind)
        else:
            try:
                data = yaml.safe_load(options["mapping"].read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise Invalid("mapping_unreadable", f"The mapping can't be read: {error}") from None
            except yaml.YAMLError as error:
                raise Invalid("mapping_unreadable", f"The mapping is no YAML: {error}") from None
        changes: dict[str, Any] = {}
        if options["source"]:
            changes["source"] = options["source"]
        if options["address_template"]:
            changes["address_template"] = options["address_template"]
        if options["consent_column"]:
            changes["consent"] = dict(map(_consent_column, options["consent_column"]))
        return mapping_parse({**data, **changes} if isinstance(data, dict) else data, kind=self.kind)

    def _staff(self, email: str | None) -> User | None:
        if not email:
            return None
        user = User.objects.filter(email=email.lower(), is_active=True, is_staff=True).first()
        if user is None:
            raise Invalid("staff_unknown", f"--by: no active member of staff has the address {email}")
        return user

    def _grant(self, options: dict[str, Any], by: User | None) -> Grant | None:
        if not options["grant"]:
            if options["evidence"]:
                raise Invalid("grant_missing", "--evidence belongs to --grant: name the purpose")
            return None
        if not options["evidence"] or by is None:
            raise Invalid(
                "evidence_missing",
                "--grant needs --evidence (how you know that they agreed) and --by (who says so)",
            )
        return Grant(purpose=options["grant"], evidence=options["evidence"], by=by)


def _consent_column(text: str) -> tuple[str, str]:
    column, equals, purpose = text.rpartition("=")
    return (purpose.strip(), column.strip()) if equals else ("marketing", text.strip())


class _Progress:
    """One line on a terminal that moves; a line now and then where it is no terminal."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._moves = sys.stderr.isatty()
        self._shown_at = time.monotonic()
        self._open = False

    def show(self, job: Import) -> None:
        """Show how far an import is."""
        moment = time.monotonic()
        if moment - self._shown_at < (0.1 if self._moves else 5) and job.state == Import.State.READING:
            return
        self._shown_at = moment
        done = percent_done(job)
        text = f"{job.get_state_display():<17} {done:>3} %  {job.lines_done:>12,} lines"
        if self._moves:
            bar = "█" * (done * 30 // 100)
            self._out.write(f"\r{bar:░<30} {text}", ending="")
            self._open = True
        elif job.state != Import.State.DONE:
            self._out.write(text)

    def end(self) -> None:
        """Leave the line."""
        if self._open:
            self._out.write("")
            self._open = False
