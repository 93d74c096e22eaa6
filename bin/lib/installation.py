"""One Tessera on this machine: its secrets, ports, settings and processes, kept in a state folder."""

import base64
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bin.lib.processes import Child, Supervisor
from bin.lib.servers import Addresses, free_port, private_write, servers_start
from bin.lib.venv import ROOT

QUEUES = "ingest,decide,render,send,maintenance"
SHORT_QUEUE = "track"
"""What somebody waits for: it has a worker of its own, so that it never waits behind a campaign."""

SETTINGS_FILE = "settings.json"
"""In the state folder while all of it runs: its settings, for `bin/manage`."""

LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine, past any proxy that the environment names."""

# Stages of stopping, from last to first; servers have 0.
CATCHER_STAGE, APPLICATION_STAGE = 1, 2


@dataclass
class Secrets:
    """What is made once and kept: signatures, digests and logins depend on it."""

    secret_key: str
    link_keys: str
    address_key: str
    master_keys: str
    demo_password: str

    @classmethod
    def load(cls, path: Path) -> "Secrets":
        """Those of last time; what an older installation has not got yet is made and kept."""
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        fresh = cls(
            secret_key=secrets.token_urlsafe(60),
            link_keys=f"k1:{secrets.token_hex(24)}",
            address_key=secrets.token_hex(24),
            master_keys=master_key_new(),
            demo_password="-".join(secrets.token_hex(2) for _ in range(4)),
        )
        made = cls(**asdict(fresh) | kept)
        if asdict(made) != kept:
            private_write(path, json.dumps(asdict(made), indent=1) + "\n")
        return made


def master_key_new() -> str:
    """A first entry of MASTER_KEYS."""
    return f"m1:{base64.b64encode(secrets.token_bytes(32)).decode()}"


@dataclass
class Ports:
    """Where the processes listen on 127.0.0.1; kept, since links in mails name the front's."""

    front: int = 8000
    catcher: int = 8025
    smtp: int = 0
    wsgi: int = 0
    asgi: int = 0

    @classmethod
    def choose(cls, path: Path, *, front: int | None) -> "Ports":
        """The ports of last time, where they are free. `front`: the wished one; None for last time's, or 8000."""
        kept = cls(**json.loads(path.read_text())) if path.exists() else cls()
        if front is not None:
            kept.front = front
        chosen = cls()
        taken: set[int] = set()
        for name, wish in asdict(kept).items():
            port = free_port(wish)
            while port in taken:
                port = free_port()
            taken.add(port)
            setattr(chosen, name, port)
        private_write(path, json.dumps(asdict(chosen), indent=1) + "\n")
        return chosen


class Installation:
    """What the demo runs. The caller holds the state folder's lock and leaves the stopping to the supervisor."""

    def __init__(self, state: Path, supervisor: Supervisor, *, port: int | None) -> None:
        self.state = state
        self.supervisor = supervisor
        (state / SETTINGS_FILE).unlink(missing_ok=True)
        self.secrets = Secrets.load(state / "secrets.json")
        self.ports = Ports.choose(state / "ports.json", front=port)
        self.servers = Addresses("", "", "", "")

    @property
    def url(self) -> str:
        """Where people reach it."""
        return f"http://127.0.0.1:{self.ports.front}"

    @property
    def mail_url(self) -> str:
        """Where the caught mails are read."""
        return f"http://127.0.0.1:{self.ports.catcher}"

    @property
    def mail_folder(self) -> Path:
        return self.state / "mail"

    def servers_start(self) -> list[str]:
        """Starts PostgreSQL and Redis, or takes those that DATABASE_URL and REDIS_URL name; says which it took."""
        names = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "EVENT_REDIS_URL")
        given = {name: os.environ.get(name, "") for name in names}
        own = servers_start(
            self.state,
            self.supervisor,
            postgres=not given["DATABASE_URL"],
            redis=not given["REDIS_URL"],
            events=not given["EVENT_REDIS_URL"],
        )
        self.servers = Addresses(
            database_url=given["DATABASE_URL"] or own.database_url,
            database_owner_url=given["DATABASE_OWNER_URL"] or given["DATABASE_URL"] or own.database_owner_url,
            redis_url=given["REDIS_URL"] or own.redis_url,
            app_role=os.environ.get("APP_DB_ROLE", "") if given["DATABASE_URL"] else own.app_role,
            event_redis_url=given["EVENT_REDIS_URL"] or own.event_redis_url,
        )
        return [name for name in ("DATABASE_URL", "REDIS_URL", "EVENT_REDIS_URL") if given[name]]

    def environment(self, *, owner: bool = False) -> dict[str, str]:
        """The environment of its processes, for the application's role or for the database's owner."""
        inherited = {name: value for name, value in os.environ.items() if name not in {"BROKER_URL", "DEBUG"}}
        return inherited | self.settings(owner=owner)

    def settings(self, *, owner: bool = False) -> dict[str, str]:
        """The settings as environment variables."""
        return {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": self.servers.database_owner_url if owner else self.servers.database_url,
            "APP_DB_ROLE": self.servers.app_role,
            "REDIS_URL": self.servers.redis_url,
            "EVENT_REDIS_URL": self.servers.event_redis_url,
            "SECRET_KEY": self.secrets.secret_key,
            "LINK_KEYS": self.secrets.link_keys,
            "ADDRESS_KEY": self.secrets.address_key,
            "MASTER_KEYS": self.secrets.master_keys,
            "DEMO_PASSWORD": self.secrets.demo_password,
            "BASE_URL": self.url,
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "SMTP_URL": f"smtp://127.0.0.1:{self.ports.smtp}",
            # Its people are at names kept for examples, which take no mail: nobody answers there, and that blocks none.
            "DNS_SERVERS": os.environ.get("DNS_SERVERS", "127.0.0.1:9"),
            "HTTPS_ONLY": "false",
            "PROXIES": "1",
            "DATA_DIR": str(self.state),
        }

    def settings_tell(self) -> None:
        """Writes down the settings, for who runs a command beside it."""
        private_write(self.state / SETTINGS_FILE, json.dumps(self.settings(), indent=1) + "\n")

    def manage_start(self, *arguments: str, owner: bool = False) -> Child:
        """Starts a command of manage.py; `supervisor.finish` waits for it."""
        command = [sys.executable, "manage.py", *arguments]
        return self.supervisor.start(
            arguments[0], command, env=self.environment(owner=owner), cwd=ROOT, stage=9, task=True
        )

    def manage(self, *arguments: str, owner: bool = False, note: Callable[[str], None] | None = None) -> str:
        """Runs a command of manage.py to its end and gives what it printed."""
        return self.supervisor.finish(self.manage_start(*arguments, owner=owner), note=note)

    def _module(self, name: str, module: str, *arguments: str, stage: int, seconds: float = 10.0) -> Child:
        command = [sys.executable, "-m", module, *arguments]
        return self.supervisor.start(name, command, env=self.environment(), cwd=ROOT, stage=stage, stop_seconds=seconds)

    def catcher_start(self) -> None:
        ports = ["--smtp-port", str(self.ports.smtp), "--page-port", str(self.ports.catcher)]
        folder = str(self.mail_folder)
        self._module("catcher", "bin.lib.catcher", folder, *ports, "--images-from", self.url, stage=CATCHER_STAGE)

    def child_run(self, name: str, *command: str) -> Child:
        """A command of manage.py that goes on until it is stopped."""
        words = [sys.executable, "manage.py", *command]
        return self.supervisor.start(name, words, env=self.environment(), cwd=ROOT, stage=APPLICATION_STAGE)

    def workers_start(self) -> None:
        """The Celery workers, one for what takes long and one for what is short, what writes events down, and beat."""
        for name, queues, processes in (("worker", QUEUES, "2"), ("short-worker", SHORT_QUEUE, "1")):
            worker = ["worker", "-Q", queues, "--concurrency", processes, "--hostname", f"{name}@%h"]
            # They have nothing to gossip about.
            worker += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
            self._module(name, "celery", "-A", "config", *worker, stage=APPLICATION_STAGE, seconds=20.0)
        self.child_run("events", "events_consume")
        beat = ["beat", "--schedule", str(self.state / "celerybeat-schedule"), "--pidfile=", "--loglevel", "INFO"]
        self._module("beat", "celery", "-A", "config", *beat, stage=APPLICATION_STAGE)

    def web_start(self) -> None:
        """WSGI workers for requests, an ASGI process for live streams, and the one address before both."""
        common = ["--host", "127.0.0.1", "--no-ws", "--log-level", "warning"]
        wsgi = ["--interface", "wsgi", "--port", str(self.ports.wsgi), "--workers", "2", "--blocking-threads", "4"]
        self._module(
            "web", "granian", *common, *wsgi, "--workers-kill-timeout", "8", "config.wsgi:application",
            stage=APPLICATION_STAGE,
        )  # fmt: skip
        # Open streams would delay a stop for ever.
        asgi = [
            "--interface",
            "asginl",
            "--port",
            str(self.ports.asgi),
            "--workers",
            "1",
            "--workers-kill-timeout",
            "2",
        ]
        self._module("live", "granian", *common, *asgi, "config.asgi:application", stage=APPLICATION_STAGE)
        front = ["--port", str(self.ports.front), "--wsgi-port", str(self.ports.wsgi)]
        self._module("front", "bin.lib.front", *front, "--asgi-port", str(self.ports.asgi), stage=APPLICATION_STAGE)

    def healthy(self) -> bool:
        """Whether the web server and the catcher answer."""
        return self._answers(f"{self.url}/healthz") and self._answers(f"{self.mail_url}/health")

    @staticmethod
    def _answers(url: str) -> bool:
        try:
            with LOCAL.open(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
            return False

    def mails(self) -> int:
        """How many mails the catcher has acknowledged."""
        try:
            return (self.mail_folder / "accepted.log").read_bytes().count(b"\n")
        except OSError:
            return 0
