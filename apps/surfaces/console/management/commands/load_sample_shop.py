"""`manage.py load_sample_shop`: an invented shop to look around in."""

import os
import secrets
from argparse import ArgumentParser
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.foundation.accounts.roles import ROLES
from apps.foundation.core.clock import now
from apps.foundation.core.errors import DomainError
from apps.surfaces.console.sample_shop.loading import STAFF_HOST, sample_shop_load


class Command(BaseCommand):
    help = (
        "Load the sample shop into an empty database: invented customers, items, orders, events, consents, staff, "
        "content and playbooks. The same --seed and --as-of give the same data. Does nothing when it is loaded. "
        "The staff's password is DEMO_PASSWORD, or is made up and printed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--customers", type=int, default=5000, help="how many (default: 5000)")
        parser.add_argument("--seed", type=int, default=1, help="another seed gives another shop (default: 1)")
        parser.add_argument("--as-of", default="", help="the moment it stands at, ISO 8601 (default: now)")

    def handle(self, *args: Any, **options: Any) -> None:
        began = monotonic()
        as_of = _moment(options["as_of"])
        if not 1 <= options["customers"] <= 1_000_000:
            raise CommandError("--customers: from 1 to 1000000")
        given = os.environ.get("DEMO_PASSWORD", "")
        password = given or secrets.token_urlsafe(12)

        def progress(what: str, count: int) -> None:
            self.stdout.write(f"  {what:<22}{count:>9,}   {monotonic() - began:5.1f} s")
            self.stdout.flush()

        self.stdout.write(f"Sample shop «Harbour & Pine», as of {as_of:%Y-%m-%d %H:%M} UTC, seed {options['seed']}")
        try:
            loaded = sample_shop_load(
                customers=options["customers"], seed=options["seed"], as_of=as_of, password=password, progress=progress
            )
        except DomainError as error:
            raise CommandError(error.message) from None
        if loaded.already:
            self.stdout.write(f"Already loaded, as of {loaded.as_of}: nothing to do.")
            return
        self.stdout.write("Loaded. Who can sign in, all with " + self._password_said(given, password))
        for role in ROLES:
            self.stdout.write(f"  {role.code}@{STAFF_HOST:<16} {role.title}: {role.does}")

    @staticmethod
    def _password_said(given: str, password: str) -> str:
        return "the password in DEMO_PASSWORD:" if given else f"the password {password}"


def _moment(text: str) -> datetime:
    if not text:
        return now().replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--as-of: {text!r} is not a date of ISO 8601, such as 2026-11-01T00:00Z") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment > now():
        raise CommandError("--as-of lies in the future")
    return moment.replace(microsecond=0)
