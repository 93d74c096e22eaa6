"""`manage.py bounce_listen`: takes mail that comes back, by LMTP, until it is stopped."""

import asyncio
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.surfaces.tracking.listening import listen


class Command(BaseCommand):
    help = "Listens for mail that comes back, by LMTP (RFC 2033), from the mail server of BOUNCE_DOMAIN."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", nargs="?", default="127.0.0.1:2424", help="host:port; a port of 0 takes any")

    def handle(self, *args: Any, **options: Any) -> None:
        host, _, port = options["address"].rpartition(":")
        if not host or not port.isdigit():
            raise CommandError("give host:port, such as 127.0.0.1:2424")
        asyncio.run(self._serve(host.strip("[]"), int(port)))

    async def _serve(self, host: str, port: int) -> None:
        stop = asyncio.Event()
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(one, stop.set)
        await listen(host, port, ready=self._ready, stop=stop)

    def _ready(self, port: int) -> None:
        self.stdout.write(f"listening for mail that comes back on port {port}")
        self.stdout.flush()
