"""PostgreSQL and Redis of one's own: the real servers, from wheels, on free TCP ports of 127.0.0.1 with passwords.

Their state is kept in a folder and found again at the next start, also after kill -9 or a power cut. No Unix sockets:
their paths may have 107 bytes, and a clone may lie deeper.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bin.lib.places import places_remove, postgres_folder, postgres_programs, redis_programs, server_account
from bin.lib.processes import Account, Child, ProcessDied, StateLock, StopRequested, Supervisor

DATABASE = "tessera"
ADMIN_ROLE = "tessera_admin"
"""PostgreSQL's superuser, for setting up only."""
OWNER_ROLE = "tessera_owner"
"""Owns the database and migrates it."""
APP_ROLE = "tessera_app"
"""Web and workers; `migrate` grants it its rights."""

STAGE = 0
"""Servers stop last."""


class ServerError(Exception):
    """A server doesn't start; the message says which and shows its log."""


@dataclass
class Keys:
    """Passwords and ports, kept in a file for its owner alone."""

    admin_password: str
    owner_password: str
    app_password: str
    redis_password: str
    postgres_port: int = 0
    redis_port: int = 0
    event_redis_port: int = 0

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """Reads the file, or makes new passwords."""
        if path.exists():
            return cls(**json.loads(path.read_text()))
        admin, owner, app, redis = (secrets.token_hex(24) for _ in range(4))
        return cls(admin, owner, app, redis)

    def save(self, path: Path) -> None:
        private_write(path, json.dumps(asdict(self), indent=1) + "\n")


def private_write(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    new = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


_PORTS = range(20_000, 32_000)
"""Below those that a system gives to whoever connects: a free one is still free when its server is up at last."""


def free_port(wanted: int = 0) -> int:
    """A free TCP port of 127.0.0.1: the wanted one, if it is."""
    drawn = [_PORTS[secrets.randbelow(len(_PORTS))] for _ in range(50)]
    for port in (*([wanted] if wanted else []), *drawn, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As the servers do: a port with connections still in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerError("no free port on 127.0.0.1")


def _leftover_stop(pid: int, folder: Path, number: signal.Signals) -> None:
    """Ends a server that an earlier command left on this folder. A pid that is somebody else's by now is let be."""
    try:
        if not Path(f"/proc/{pid}/cwd").resolve(strict=True).samefile(folder):
            return
        os.kill(pid, number)
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
    except (OSError, ProcessLookupError):
        return


class Postgres:
    """One PostgreSQL cluster in a state folder."""

    def __init__(self, state: Path, keys: Keys, supervisor: Supervisor, *, throwaway: bool) -> None:
        self.keys = keys
        self.supervisor = supervisor
        self.throwaway = throwaway
        self.account: Account | None = server_account()
        self.programs = postgres_programs(self.account)
        self.folder = postgres_folder(state, self.account)
        self.data = self.folder / "data"
        self.child: Child | None = None

    def _init(self) -> None:
        """Makes the cluster; a half-made one from an earlier try is thrown away."""
        half = self.folder / "data.half"
        if half.exists():
            shutil.rmtree(half)
        password = self.folder / "password"
        private_write(password, self.keys.admin_password + "\n")
        if self.account:
            os.chown(password, self.account.uid, self.account.gid)
        command: list[str | Path] = [self.programs / "initdb", "--pgdata", half, "--username", ADMIN_ROLE]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"]
        # PostgreSQL's own Unicode rules: the same on every machine, and lower() knows more than ASCII.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.throwaway:
            command.append("--no-sync")
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TZ": "UTC"},
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        finally:
            password.unlink()
        if done.returncode:
            raise ServerError(f"PostgreSQL's initdb failed:\n{done.stdout}{done.stderr}")
        half.rename(self.data)

    def _stale_pid_file(self) -> None:
        """Ends a server left from before. A pid file whose pid is another program's now would hinder the start."""
        path = self.data / "postmaster.pid"
        try:
            pid = int(path.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        _leftover_stop(pid, self.data, signal.SIGINT)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()

    def _options(self) -> list[str]:
        values = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.keys.postgres_port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "effective_cache_size": "1GB",
            "work_mem": "16MB",
            "maintenance_work_mem": "128MB",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "15min",
            "random_page_cost": "1.1",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %u@%d ",
            # No values of people in its log: errors of statements are the application's to report, and the lines
            # that stay come without DETAIL, CONTEXT and STATEMENT.
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_parameter_max_length": "0",
            "log_parameter_max_length_on_error": "0",
        }
        if self.throwaway:
            # Nothing is vacuumed either: rows that nobody put in an order would come in another one now and then.
            values |= {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
        return [part for name, value in values.items() for part in ("-c", f"{name}={value}")]

    def start(self) -> None:
        """Starts the server and waits until it answers; on another port when the one of last time is taken."""
        if not self.data.exists():
            self._init()
        self._stale_pid_file()
        for _ in range(5):
            self.keys.postgres_port = free_port(self.keys.postgres_port)
            self.child = self.supervisor.start(
                "postgres",
                [self.programs / "postgres", "-D", self.data, *self._options()],
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"},
                cwd="/",
                account=self.account,
                stage=STAGE,
                stop_signal=signal.SIGINT,
                stop_seconds=30.0,
            )
            if self._ready():
                return
            said = self.child.log_end(30)
            self.supervisor.stop_child(self.child)
            if "already in use" not in said and "still in use" not in said:
                break
            time.sleep(0.5)
        raise ServerError(f"PostgreSQL doesn't start; its log: {self.supervisor.log_folder}/postgres.log\n{said}")

    def _ready(self) -> bool:
        """Waits for the server. The eighth line of its pid file gives its state, as pg_ctl reads it."""
        path = self.data / "postmaster.pid"
        limit = time.monotonic() + 120
        assert self.child  # noqa: S101 -- start() has set it
        while self.child.running and time.monotonic() < limit:
            with contextlib.suppress(OSError):
                lines = path.read_text().split("\n")
                if len(lines) > 7 and lines[0] == str(self.child.process.pid) and lines[7].strip() == "ready":
                    return True
            time.sleep(0.02)
        return False

    def sql(self, statements: str, *, database: str = "postgres") -> str:
        """Runs statements as the superuser, each in a transaction of its own, and gives what they return."""
        command: list[str | Path] = [self.programs / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]
        command += ["-p", str(self.keys.postgres_port), "-U", ADMIN_ROLE, "-d", database]
        done = subprocess.run(
            command,
            input=statements,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "PGPASSWORD": self.keys.admin_password, "PGCONNECT_TIMEOUT": "10"},
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
            cwd="/",
        )
        if done.returncode:
            raise ServerError(f"PostgreSQL refuses what sets it up: {done.stderr.strip()}")
        return done.stdout.strip()

    def prepare(self) -> None:
        """Makes the roles and the database, those that are missing."""
        present = set(self.sql("SELECT rolname FROM pg_roles;").split())
        statements = []
        for role, rights, password in (
            (OWNER_ROLE, "LOGIN CREATEDB", self.keys.owner_password),
            (APP_ROLE, "LOGIN", self.keys.app_password),
        ):
            verb = "ALTER" if role in present else "CREATE"
            statements.append(f"{verb} ROLE {role} {rights} PASSWORD '{password}';")
        if self.throwaway:
            # So that tests, which run as the owner, can take the application's role and see what it may not.
            statements.append(f"GRANT {APP_ROLE} TO {OWNER_ROLE};")
            # And so that behind a test rows can be taken away without asking each table that refers to them.
            statements.append(f"GRANT SET ON PARAMETER session_replication_role TO {OWNER_ROLE};")
        if not self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}';"):  # noqa: S608 -- a constant
            statements.append(f"CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE};")
        self.sql("\n".join(statements))

    def url(self, role: str, password: str) -> str:
        return f"postgres://{role}:{password}@127.0.0.1:{self.keys.postgres_port}/{DATABASE}"


class Redis:
    """One Redis in a state folder, with an append-only file.

    lasting: for what must not be lost, each change is on the disk before it is answered, and a file that is torn
    anywhere but at its end stops the start.
    """

    def __init__(
        self, state: Path, keys: Keys, supervisor: Supervisor, *, throwaway: bool, lasting: bool = False
    ) -> None:
        self.keys = keys
        self.supervisor = supervisor
        self.throwaway = throwaway
        self.lasting = lasting
        self.name = "event-redis" if lasting else "redis"
        self.folder = state / self.name
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.child: Child | None = None

    def _configure(self) -> None:
        """Writes the configuration; the folder is the working directory, so no path stands in it."""
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            "protected-mode yes",
            f"requirepass {self.keys.redis_password}",
            "daemonize no",
            "pidfile ./redis.pid",
            "dir ./",
            'save ""',
            f"appendonly {'no' if self.throwaway and not self.lasting else 'yes'}",
            f"appendfsync {'always' if self.lasting else 'everysec'}",
            "maxmemory-policy noeviction",
            "databases 16",
        ]
        private_write(self.folder / "redis.conf", "\n".join(lines) + "\n")

    def start(self) -> None:
        """Starts the server and waits until it answers; on another port when the one of last time is taken."""
        with contextlib.suppress(OSError, ValueError):
            _leftover_stop(int((self.folder / "redis.pid").read_text()), self.folder, signal.SIGTERM)
        for _ in range(5):
            self.port = free_port(self.port)
            self._configure()
            self.child = self.supervisor.start(
                self.name,
                [redis_programs() / "redis-server", "redis.conf"],
                cwd=self.folder,
                stage=STAGE,
                stop_seconds=15.0,
            )
            if self._ready():
                return
            said = self.child.log_end(30)
            self.supervisor.stop_child(self.child)
            if "append only file" in said and not self.lasting:
                # Redis only wakes work and caches; PostgreSQL is the record. A torn file is set aside, not mourned.
                torn = self.folder / "appendonly.aof"
                torn.replace(torn.with_name(f"appendonly.aof.torn-{int(time.time())}"))
            elif "in use" not in said:
                break
        raise ServerError(f"Redis doesn't start; its log: {self.supervisor.log_folder}/{self.name}.log\n{said}")

    def _ready(self) -> bool:
        limit = time.monotonic() + 60
        assert self.child  # noqa: S101 -- start() has set it
        while self.child.running and time.monotonic() < limit:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as link:
                    link.sendall(f"AUTH {self.keys.redis_password}\r\nPING\r\n".encode())
                    answer = b""
                    while answer.count(b"\n") < 2 and (part := link.recv(1024)):
                        answer += part
                    # While it loads its file it answers PING with -LOADING.
                    if answer == b"+OK\r\n+PONG\r\n":
                        return True
            except OSError:
                pass
            time.sleep(0.02)
        return False

    @property
    def port(self) -> int:
        return self.keys.event_redis_port if self.lasting else self.keys.redis_port

    @port.setter
    def port(self, port: int) -> None:
        if self.lasting:
            self.keys.event_redis_port = port
        else:
            self.keys.redis_port = port

    @property
    def url(self) -> str:
        return f"redis://:{self.keys.redis_password}@127.0.0.1:{self.port}/0"


@dataclass(frozen=True)
class Addresses:
    """Where the servers answer, as URLs; the owner's is for migrating."""

    database_url: str
    database_owner_url: str
    redis_url: str
    app_role: str
    event_redis_url: str = ""


def servers_start(
    state: Path,
    supervisor: Supervisor,
    *,
    throwaway: bool = False,
    postgres: bool = True,
    redis: bool = True,
    events: bool = False,
) -> Addresses:
    """Starts the servers that are asked for, in a state folder whose lock the caller holds.

    A throwaway pair is quick and keeps nothing over a power cut: for tests. events: also the Redis that holds events,
    which keeps what it took in any case.

    Raises:
        ServerError, PlaceError: one doesn't start; the message says why.
    """
    state.mkdir(parents=True, exist_ok=True)
    path = state / "servers.json"
    keys = Keys.load(path)
    keys.save(path)
    addresses = {"database_url": "", "database_owner_url": "", "redis_url": "", "app_role": APP_ROLE}
    try:
        if redis:
            server = Redis(state, keys, supervisor, throwaway=throwaway)
            server.start()
            addresses["redis_url"] = server.url
        if events:
            holder = Redis(state, keys, supervisor, throwaway=throwaway, lasting=True)
            holder.start()
            addresses["event_redis_url"] = holder.url
        if postgres:
            cluster = Postgres(state, keys, supervisor, throwaway=throwaway)
            cluster.start()
            cluster.prepare()
            addresses["database_url"] = cluster.url(APP_ROLE, keys.app_password)
            addresses["database_owner_url"] = cluster.url(OWNER_ROLE, keys.owner_password)
    except ProcessDied as error:
        raise ServerError(str(error)) from error
    keys.save(path)
    return Addresses(**addresses)


def state_remove(state: Path) -> None:
    """Deletes a state folder and what lies outside it for it."""
    places_remove(state)
    shutil.rmtree(state, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """`python -m bin.lib.servers FOLDER`: runs the servers alone until Ctrl-C, and prints their addresses as JSON."""
    state = Path(arguments[0]).resolve()
    lock = StateLock(state)
    with Supervisor(state / "log", lock=lock) as supervisor, contextlib.suppress(StopRequested):
        print(json.dumps(asdict(servers_start(state, supervisor))), flush=True)
        supervisor.watch()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
