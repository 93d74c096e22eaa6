import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.decisioning.audiences.exporting import FORMATS, audience_export
from apps.decisioning.audiences.models import Audience
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import DomainError


class Command(BaseCommand):
    help = (
        "Write an audience as a file: with addresses, or hashed as an advertising platform asks. In it is only who "
        "agreed to the purpose on the channel; it is put down in the audit log under the name of whoever takes it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("audience", help="code of the audience")
        parser.add_argument("file", help="where to write; must not be there yet")
        parser.add_argument("--format", choices=list(FORMATS), required=True)
        parser.add_argument("--purpose", required=True, help="code of the purpose that people must have agreed to")
        parser.add_argument("--channel", choices=["email", "sms"], default="email")
        parser.add_argument("--by", required=True, help="e-mail address of the member of staff who takes it")

    def handle(self, *args: Any, **options: Any) -> None:
        audience = Audience.objects.filter(code=options["audience"]).first()
        by = User.objects.filter(email__iexact=options["by"], is_active=True).first()
        if audience is None:
            raise CommandError(f"There is no audience with the code {options['audience']}")
        if by is None:
            raise CommandError(f"There is no member of staff {options['by']}")
        path = Path(options["file"])
        try:
            # for its owner's eyes alone, and never over a file that is there
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"{path} can't be written: {error.strerror}") from error
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
                done = audience_export(
                    audience_id=audience.pk,
                    form=options["format"],
                    purpose=options["purpose"],
                    channel=options["channel"],
                    by=by,
                    out=out,
                )
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, DomainError):
                raise CommandError(error.message) from error
            raise
        self.stdout.write(f"{done.people:,} people, {done.left_out:,} left out. SHA-256 {done.digest}")
