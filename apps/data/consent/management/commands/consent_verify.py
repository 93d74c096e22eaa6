from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.consent.chain import chain_verify, heads_folder
from apps.data.consent.ledger import head_key


class Command(BaseCommand):
    help = (
        "Verify the consent ledger: that no record was changed, added or taken out behind the application, and that "
        "its end was not cut off, by the signed heads kept outside the database. Says where each fault is. Reads only. "
        "Exit code 0 when all is as it was written, 1 when not."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--heads",
            type=Path,
            nargs="*",
            metavar="FILE",
            help="files of heads to compare with, of all hosts that write (those in LEDGER_HEADS_DIR unless told)",
        )
        parser.add_argument(
            "--public-key", action="store_true", help="print the key by which anybody can verify the heads, and stop"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["public_key"]:
            key = head_key(settings.LEDGER_KEY).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            self.stdout.write(key.decode().strip())
            return
        try:
            report = chain_verify(heads=options["heads"], progress=self._progress)
        except OSError as error:
            raise CommandError(f"{error.filename} can't be read: {error.strerror}") from error
        for fault in report.faults:
            self.stdout.write(f"{fault.code.upper()}: {fault.text}")
        if not report.heads:
            self.stderr.write(f"No heads in {heads_folder()}: whether the end was cut off can't be seen")
        self.stdout.write(f"{report.records} records, {report.head} places, {report.heads} heads compared")
        if report.faults:
            raise CommandError(f"{len(report.faults)} faults: the ledger is not as it was written")
        self.stdout.write("The ledger is as it was written")

    def _progress(self, records: int) -> None:
        if records and self.stderr.isatty():
            self.stderr.write(f"\r{records} records", ending="")
