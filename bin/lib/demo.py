"""`bin/demo`: all of Tessera on this machine, with a sample shop, until Ctrl-C."""

import argparse
import os
import re
import sys
import time
from pathlib import Path

from apps.foundation.accounts.roles import ROLES  # plain data, without Django
from bin.lib.installation import Installation
from bin.lib.places import PlaceError
from bin.lib.processes import ProcessDied, StateInUse, StateLock, StopRequested, Supervisor
from bin.lib.progress import Progress
from bin.lib.servers import ServerError, state_remove
from bin.lib.venv import ROOT, VenvError, venv_enter

DESCRIPTION = """Starts all of Tessera on this machine: PostgreSQL, Redis, the web server, the workers and a mail
catcher, with a sample shop, and runs one playbook. It needs Python 3.11 or 3.12 and nothing else. Ctrl-C stops
everything; the data stays in var/demo for the next start.

DATABASE_URL and REDIS_URL, where set, name servers to use instead of its own; DATABASE_OWNER_URL the role that
migrates, and APP_DB_ROLE the one that it then grants its rights (docs/running.md)."""

PLAYBOOK = "weekly-picks"
STATE = ROOT / "var" / "demo"
CHECK_STATE = ROOT / "var" / "check"
FIRST_MAIL_SECONDS = 180.0


def options_parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/demo", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="do the whole job once, check the mails, and end")
    parser.add_argument("--reset", action="store_true", help="delete the demo's data, and end")
    parser.add_argument("--yes", action="store_true", help="with --reset: don't ask")
    parser.add_argument("--port", type=int, help="the web address's port (default: last time's, or 8000, if free)")
    return parser.parse_args(arguments)


def reset(*, yes: bool) -> int:
    """Deletes the demo's data after asking."""
    if not STATE.exists():
        print("There is no data of the demo.")
        return 0
    if not yes:
        try:
            answer = input(f"Delete everything in {STATE}: database, mails, uploads, secrets? Type yes: ")
        except EOFError:
            answer = ""
        if answer.strip().lower() != "yes":
            print("Nothing was deleted.")
            return 1
    lock = StateLock(STATE)
    state_remove(STATE)
    lock.release()
    print("Deleted.")
    return 0


def start(progress: Progress, supervisor: Supervisor, state: Path, *, port: int | None) -> Installation:
    """Starts everything and waits until it answers."""

    def note(line: str) -> None:
        progress.note = line

    house = Installation(state, supervisor, port=port)
    if port and house.ports.front != port:
        progress.say(f"Port {port} is taken; the web address is {house.url}")
    with progress.step("Starting PostgreSQL and Redis"):
        for name in house.servers_start():
            progress.say(f"          {name} is set: that server is used")
    with progress.step("Bringing the database up to date"):
        house.manage("migrate", "--noinput", owner=True, note=note)
    static_files = house.manage_start("collectstatic", "--noinput", "--verbosity", "0")
    with progress.step("Loading the sample shop"):
        house.manage("load_sample_shop", note=note)
    with progress.step("Collecting static files"):
        supervisor.finish(static_files)
    with progress.step("Starting web server, workers and mail catcher"):
        house.catcher_start()
        house.workers_start()
        house.web_start()
        supervisor.wait_until(house.healthy, what=f"{house.url}/healthz and the mail catcher answer", seconds=120)
    house.settings_tell()
    return house


def playbook_run(progress: Progress, supervisor: Supervisor, house: Installation, occasion: str) -> str:
    """Runs the playbook and waits for its first mail; gives what the command printed."""
    before = house.mails()
    with progress.step(f"Running the playbook “{PLAYBOOK}”"):
        said = house.manage("run_playbook", PLAYBOOK, "--occasion", occasion)
    if before and "already" in said.lower():
        return said
    with progress.step("Waiting for the first mail"):
        limit = time.monotonic() + (FIRST_MAIL_SECONDS if not before else 20.0)
        while house.mails() <= before:
            supervisor.check()
            if time.monotonic() > limit:
                if before:  # all the audience may have had its share already
                    return said
                raise ProcessDied(f"no mail within {FIRST_MAIL_SECONDS:.0f} s; the logs are in {supervisor.log_folder}")
            time.sleep(0.05)
    return said


def introduce(progress: Progress, house: Installation, said: str) -> None:
    """Prints where everything is, who can sign in, and what to look at first."""

    run = re.search(r"\bRun (\d+)\b", said)
    run_page = f"{house.url}/console/runs/{run[1]}/" if run else f"{house.url}/console/"
    mails = house.mails()
    wide = max(len(role.code) for role in ROLES)
    people = "\n".join(f"  {role.code + '@shop.example':<{wide + 13}}  {role.does}" for role in ROLES)
    progress.say(f"""
Tessera runs. Ready after {progress.seconds():.0f} s; {mails:,} {"mail" if mails == 1 else "mails"} so far.

  Admin        {house.url}/admin/
  The run      {run_page}
  Mail         {house.mail_url}/   (caught here, sent to nobody)

Sign in with one of these, password {house.secrets.demo_password}

{people}

What to look at first
  1. Mail: open one, then another: subject, picture and products differ by person. “Plain text” is beside the HTML.
  2. The run, as publisher@shop.example: planned, withheld and why, sent, by tier, live while it goes on.
     Open any message there to see it as it was sent, and why it looks so.
  3. In a mail, follow “Preferences” at its foot: no login, and what you change there holds from the next run on.

Commands: bin/manage help, in another terminal. Logs: {house.supervisor.log_folder.relative_to(ROOT)}.
Ctrl-C stops everything and keeps the data.
""")


def demo(progress: Progress, *, port: int | None) -> int:
    lock = StateLock(STATE)
    try:
        with Supervisor(STATE / "log", lock=lock) as supervisor:
            house = start(progress, supervisor, STATE, port=port)
            said = playbook_run(progress, supervisor, house, f"demo-{time.strftime('%Y-%m-%d')}")
            introduce(progress, house, said)
            try:
                supervisor.watch()
            except StopRequested:
                progress.say("\nStopping …")
        progress.say("Stopped. The data is kept for the next bin/demo.")
        return 0
    finally:
        lock.release()


def check(progress: Progress, *, port: int | None) -> int:
    """The whole job in a fresh state folder, which is deleted when all is well and kept for a look when not."""
    from bin.lib import demo_check  # only here: it needs what only the environment has

    lock = StateLock(CHECK_STATE)
    state_remove(CHECK_STATE)
    lock.release()
    lock = StateLock(CHECK_STATE)
    try:
        with Supervisor(CHECK_STATE / "log", lock=lock) as supervisor:
            house = start(progress, supervisor, CHECK_STATE, port=port if port is not None else 0)
            occasion = f"check-{os.getpid()}-{int(time.time())}"
            playbook_run(progress, supervisor, house, occasion)
            first_mail = progress.seconds()
            faults = demo_check.check(progress, supervisor, house, occasion, first_mail=first_mail)
        if not faults:
            state_remove(CHECK_STATE)
    finally:
        lock.release()
    if faults:
        shown = "\n".join(f"  - {fault}" for fault in faults)
        progress.say(f"\nbin/demo --check FAILED:\n{shown}\nEverything is kept in {CHECK_STATE}.")
        return 1
    progress.say(f"\nbin/demo --check: all well, {progress.seconds():.0f} s")
    return 0


def main(arguments: list[str]) -> int:
    options = options_parse(arguments)
    progress = Progress()
    try:
        if options.reset:
            return reset(yes=options.yes)
        venv_enter("bin.lib.demo", arguments, requirements="requirements.txt", progress=progress)
        return check(progress, port=options.port) if options.check else demo(progress, port=options.port)
    except StopRequested:
        progress.say("\nStopped.")
        return 130
    except KeyboardInterrupt:
        return 130
    except StateInUse as error:
        print(f"{error}.\nTessera runs already, or is just stopping; end the other one first.", file=sys.stderr)
    except (VenvError, PlaceError, ServerError, ProcessDied) as error:
        print(f"\nIt doesn't work: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
