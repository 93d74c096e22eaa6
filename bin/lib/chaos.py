"""`bin/chaos send` and `bin/chaos ingest`: a send, or events coming in, under kills and crashes, and a verdict."""

import argparse
import json
import secrets
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bin.lib.progress import Progress
from bin.lib.venv import ROOT, VenvError, venv_enter

DESCRIPTION = """bin/chaos send: sends through real workers, kills them and their servers meanwhile, and judges what
came of it.

It has PostgreSQL, Redis, Celery workers and a relay of its own, which it stops and deletes at the end; it touches no
other. The relay keeps its own log, defers 30% of all tries, refuses 5%, takes 1% and drops the connection instead of
answering, and leaves 1% without an answer. Blows fall all through the send:

  kill       kill -9 of a worker that sends, or of the sending process in it
  stop       SIGSTOP until its lease is over, then SIGCONT
  postgres   an immediate stop of PostgreSQL, as of a crash, for some seconds
  redis      FLUSHALL, then kill -9 of Redis, for some seconds

Time-outs and leases are shortened by settings. What a process manager does in production, starting again what died, is
done by this command; all else has to come back by itself, within 60 s. At the end the ledger is held against the
relay's log: nothing twice, nothing lost in silence, every final state as the relay saw it, and no more `uncertain` than
a message for each open connection of a killed sender, a window for each stop, and what the relay left unanswered.

bin/chaos ingest: posts events over HTTP to real web workers, while what takes them in and writes them down is
killed:

  kill       kill -9 of one of two consumers
  web        kill -9 of all web workers
  postgres   an immediate stop of PostgreSQL, as of a crash, for a second or two
  redis      kill -9 of the Redis that holds the events, for a second or two

At the end what was answered with 200 is held against events and features: nothing lost, nothing twice, nothing set
aside, and everybody's features as the engine makes them of the events alone.

The last line is JSON. It ends with 0 when all of it holds, with 1 when not; the logs are kept then."""
EPILOG = """Small ones take two minutes:
  bin/chaos send --messages 1500 --kills 4 --stops 1 --postgres 1 --redis 1
  bin/chaos ingest --events 10000 --kills 2 --webs 1 --postgres 1 --redis 1"""
BLOWS = {"send": {"kills": 100, "postgres": 5, "redis": 3}, "ingest": {"kills": 30, "postgres": 10, "redis": 10}}
FOLDERS = ROOT / "var" / "chaos"


def arguments_parse(arguments: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        "bin/chaos", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=list(BLOWS), help="what is disturbed")
    for name, default, text in (
        ("messages", 50_000, "how many are sent"),
        ("events", 200_000, "how many come in"),
        ("stops", 10, "blows of this kind, of a send"),
        ("webs", 10, "blows of this kind, of events"),
        ("workers", 3, "Celery workers that send, one process each; another one does the rest"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default: {default})")
    for name, most in BLOWS["send"].items():
        text = f"blows of this kind (default: {most} of a send, {BLOWS['ingest'][name]} of events)"
        parser.add_argument(f"--{name}", type=int, metavar="N", help=text)
    parser.add_argument("--seed", type=int, help="of the order of blows and the relay's answers (default: a new one)")
    parser.add_argument("--smtp-options", default="", metavar="OPTIONS", help="more options of SMTP_URL, as a=1&b=2")
    given = parser.parse_args(arguments)
    for name, default in BLOWS[given.what].items():
        if getattr(given, name) is None:
            setattr(given, name, default)
    return given


def main(arguments: list[str]) -> int:
    given = arguments_parse(arguments)
    # What it prints on standard output is for programs; the rest goes beside it.
    progress = Progress(sys.stderr)
    try:
        venv_enter("bin.lib.chaos", arguments, requirements="requirements-dev.txt", progress=progress)
    except VenvError as error:
        print(error, file=sys.stderr)
        return 1
    return (send if given.what == "send" else ingest)(given, progress)


def send(given: argparse.Namespace, progress: Progress) -> int:
    """The send, from servers to verdict."""
    # in .venv only
    from bin.lib.chaos_run import ChaosRun, Size
    from bin.lib.migrated import database_migrate
    from bin.lib.places import PlaceError
    from bin.lib.processes import ProcessDied, StopRequested, Supervisor
    from bin.lib.servers import APP_ROLE, OWNER_ROLE, Keys, Postgres, Redis, ServerError, free_port, state_remove
    from bin.lib.test import folder_new, test_environment

    seed = given.seed if given.seed is not None else secrets.randbelow(10**6)
    size = Size(
        given.messages, given.kills, given.stops, given.postgres, given.redis, given.workers, seed, given.smtp_options
    )
    state, lock = folder_new(FOLDERS)
    keep = True
    try:
        with Supervisor(state / "log", lock=lock) as supervisor:
            keys = Keys.load(state / "servers.json")
            with progress.step("Starting servers"):
                cache = Redis(state, keys, supervisor, throwaway=False)
                cache.start()
                database = Postgres(state, keys, supervisor, throwaway=False)
                database.start()
                database.prepare()
            environment = test_environment(state) | {
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "DATABASE_URL": database.url(OWNER_ROLE, keys.owner_password),
                "APP_DB_ROLE": APP_ROLE,
                "REDIS_URL": cache.url,
                "EVENT_REDIS_URL": cache.url,
            }
            environment.pop("BROKER_URL", None)
            Path(environment["DATA_DIR"]).mkdir()
            with progress.step("Bringing the database up to date"):
                database_migrate(environment["DATABASE_URL"], environment=environment, supervisor=supervisor)
                migrate = [sys.executable, "manage.py", "migrate", "--noinput"]
                supervisor.run("migrate", migrate, env=environment, cwd=ROOT)
            run = ChaosRun(
                size=size,
                state=state,
                environment=environment | {"DATABASE_URL": database.url(APP_ROLE, keys.app_password)},
                supervisor=supervisor,
                progress=progress,
                postgres=database,
                redis=cache,
                relay_port=free_port(),
            )
            with progress.step(f"Making {size.messages} people and decisions"):
                run.people_make(environment)
            begun = time.monotonic()
            run.start()
            with progress.step(f"Sending under {size.blows} blows, seed {seed}"):
                run.disturb()
            with progress.step("Sending what is left"):
                run.finish()
            took = time.monotonic() - begun
            run.stop()
            with progress.step("Judging"):
                report = verdict_report(run, took)
        keep = not all(report["met"].values())
        if keep:
            print(f"The logs are in {state}", file=sys.stderr)
        print(json.dumps(report))
    except (ServerError, PlaceError, ProcessDied) as error:
        print(error, file=sys.stderr)
        return 1
    except StopRequested:
        keep = False
        return 130
    else:
        return int(keep)
    finally:
        if not keep:
            state_remove(state)
        lock.release()


def ingest(given: argparse.Namespace, progress: Progress) -> int:
    """Events on their way, from servers to verdict."""
    # in .venv only
    from bin.lib.chaos_ingest import IngestRun, Size
    from bin.lib.migrated import database_migrate
    from bin.lib.places import PlaceError
    from bin.lib.processes import ProcessDied, StopRequested, Supervisor
    from bin.lib.servers import APP_ROLE, OWNER_ROLE, Keys, Postgres, Redis, ServerError, state_remove
    from bin.lib.test import folder_new, test_environment

    seed = given.seed if given.seed is not None else secrets.randbelow(10**6)
    size = Size(given.events, given.kills, given.webs, given.postgres, given.redis, seed)
    state, lock = folder_new(FOLDERS)
    keep = True
    try:
        with Supervisor(state / "log", lock=lock) as supervisor:
            keys = Keys.load(state / "servers.json")
            with progress.step("Starting servers"):
                cache = Redis(state, keys, supervisor, throwaway=False)
                cache.start()
                stream = Redis(state, keys, supervisor, throwaway=False, lasting=True)
                stream.start()
                database = Postgres(state, keys, supervisor, throwaway=False)
                database.start()
                database.prepare()
            environment = test_environment(state) | {
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "LOG_LEVEL": "WARNING",
                "DATABASE_URL": database.url(OWNER_ROLE, keys.owner_password),
                "APP_DB_ROLE": APP_ROLE,
                "REDIS_URL": cache.url,
                "EVENT_REDIS_URL": stream.url,
            }
            Path(environment["DATA_DIR"]).mkdir()
            with progress.step("Bringing the database up to date"):
                database_migrate(environment["DATABASE_URL"], environment=environment, supervisor=supervisor)
                migrate = [sys.executable, "manage.py", "migrate", "--noinput"]
                supervisor.run("migrate", migrate, env=environment, cwd=ROOT)
            run = IngestRun(
                size=size,
                state=state,
                environment=environment | {"DATABASE_URL": database.url(APP_ROLE, keys.app_password)},
                supervisor=supervisor,
                progress=progress,
                postgres=database,
                stream=stream,
            )
            with progress.step("Starting web workers and consumers"):
                run.start(environment)
            begun = time.monotonic()
            with progress.step(f"Taking {size.events} events in under blows, seed {seed}"):
                run.disturb()
                run.finish()
            took = time.monotonic() - begun
            with progress.step("Judging"):
                found = run.judge()
        figures = {
            "events": size.events, "accepted": len(run.accepted), **found, "seed": seed, "seconds": round(took),
            "blows": dict(run.blows), "answers": dict(run.answers),
        }  # fmt: skip
        targets = dict.fromkeys(("lost", "twice", "strange", "set_aside", "features_unlike_replay"), 0)
        met = {name: figures[name] == 0 for name in targets}
        met["all_accepted"] = figures["accepted"] == size.events
        met["features_count_all"] = figures["views_in_features"] == size.events
        keep = not all(met.values())
        if keep:
            print(f"The logs are in {state}", file=sys.stderr)
        print(json.dumps({"name": "chaos_ingest", "figures": figures, "targets": targets, "met": met}))
    except (ServerError, PlaceError, ProcessDied) as error:
        print(error, file=sys.stderr)
        return 1
    except StopRequested:
        keep = False
        return 130
    else:
        return int(keep)
    finally:
        if not keep:
            state_remove(state)
        lock.release()


def verdict_report(run: Any, took: float) -> dict[str, Any]:
    """Judge, settle by the relay's log, judge again; the figures."""
    from bin.lib.chaos_verdict import GOT, UNANSWERED, judge

    before = judge(run.rows(), run.tail.lines, run.blows, run.terms)
    run.settle()
    rows = run.rows()
    after = judge(rows, run.tail.lines, run.blows, run.terms)
    got = {line.recipient for line in run.tail.lines if line.outcome in GOT}
    for row in rows:
        if row.state == "uncertain" and row.recipient in got:
            after.fault("unsettled", row.id)
    faults = {**before.faults, **after.faults}
    counts = before.counts | after.counts
    for kind, examples in faults.items():
        print(f"{kind}: {counts[kind]}, for example {'; '.join(examples)}", file=sys.stderr)
    resumed = [blow.resumed for blow in run.blows]
    outcomes = Counter(line.outcome for line in run.tail.lines)
    figures = {
        "messages": run.size.messages,
        "seed": run.size.seed,
        "seconds": round(took),
        "blows": dict(Counter(blow.kind for blow in run.blows)),
        "twice": counts["twice"],
        "lost": counts["lost"] + counts["missing"] + counts["unfinished"],
        "states_unlike_the_relays": counts["untold"] + counts["unfounded"] + counts["stray"] + counts["unsettled"],
        "uncertain": before.states["uncertain"],
        "uncertain_at_most": before.uncertain_at_most,
        "unanswered": sum(outcomes[one] for one in UNANSWERED),
        "uncertain_after_relay_log": after.states["uncertain"],
        "resumed_s": max((one for one in resumed if one is not None), default=0.0),
        "settled_s": run.settled_seconds(),
        "never_resumed": resumed.count(None),
        "started_again": dict(run.restarts),
        "states": dict(before.states),
        "relay": dict(outcomes),
    }
    targets = {"twice": 0, "lost": 0, "states_unlike_the_relays": 0, "resumed_s": run.terms.resume_seconds}
    met = {name: bool(figures[name] <= most) for name, most in targets.items()}
    met["uncertain"] = not counts["unbounded"]
    met["resumed_s"] = met["resumed_s"] and not counts["halted"]
    met["all_blows"] = len(run.blows) == run.size.blows
    return {"name": "chaos_send", "figures": figures, "targets": targets, "met": met}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
