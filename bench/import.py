"""Reading a million people in: validated, sealed, with their consent; beside csv.reader and COPY into one plain table.

usage: bin/bench import [people] [--stages]     --stages: print what each stage took

The file has e-mail, phone, name, country and the day of consent, as people write them: phones of eight countries,
with and without the country's prefix, some addresses with capitals. Of each 1,000 lines one has an address that is
none. What came in is held against the file: people, identifiers, consent, faults, and of some people the values that
open. Seconds are on the wall and those of `manage.py import_profiles` with its start; memory is the most that its
processes had together (pages that they share count once).
"""

# ruff: noqa: E402  # Django is set up before the apps are imported
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.db import connection

from apps.data.profiles.lookup import place_of
from apps.data.profiles.vault import vault_open
from apps.foundation.core.signing import address_digest

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {"seconds": 120, "peak_mb": 300}
COLUMNS = ("E-mail", "Phone", "First name", "Last name", "Country", "Newsletter since")
FIRST = ("Anna", "Jürgen", "Zoë", "Lukas", "Maria", "Paul", "Søren", "Chloé", "Ivan", "Emma")
LAST = ("Gruber", "Müller", "O'Neill", "García", "Rossi", "Dubois", "Smith", "Novák", "van den Berg", "Huber")
PHONES = {
    "DE": ("0151 {:08d}", "+49 151 {:08d}", "0049151{:08d}"),
    "AT": ("0660 {:07d}", "+43 660 {:07d}", "+43660{:07d}"),
    "CH": ("079 {:07d}", "+41 79 {:07d}"),
    "FR": ("06 {:08d}", "+33 6 {:08d}"),
    "GB": ("07700 {:06d}", "+447700{:06d}"),
    "US": ("(212) 5{:06d}", "+1 212-5{:06d}"),
    "IT": ("347 {:07d}", "+39 347 {:07d}"),
    "ES": ("612 {:06d}", "+34 612 {:06d}"),
}
PREFIXES = {
    "DE": "+49151", "AT": "+43660", "CH": "+4179", "FR": "+336", "GB": "+447700", "US": "+12125", "IT": "+39347",
    "ES": "+34612",
}  # fmt: skip
MAPPING = """\
source: bench
columns:
  email: E-mail
  phone: Phone
  first_name: First name
  last_name: Last name
  country: Country
consent: {marketing: Newsletter since}
consent_times: [Newsletter since]
"""
_FLOOR = """
import csv, os, sys
from io import StringIO
import psycopg2
connection = psycopg2.connect(os.environ["DATABASE_URL"])
cursor = connection.cursor()
cursor.execute("CREATE TABLE bench_floor (email text, phone text, first text, last text, country text, at text)")
with open(sys.argv[1], newline="", encoding="utf-8") as file:
    rows = csv.reader(file)
    next(rows)
    buffer, held = StringIO(), 0
    write = csv.writer(buffer).writerow
    def send():
        buffer.seek(0)
        cursor.copy_expert("COPY bench_floor FROM STDIN (FORMAT csv)", buffer)
        buffer.seek(0)
        buffer.truncate()
    for row in rows:
        write(row)
        held += 1
        if held % 10_000 == 0:
            send()
    send()
connection.commit()
"""


def main() -> None:
    """Make the file, import it, look at what came in, and print."""
    numbers = [argument for argument in sys.argv[1:] if argument.isdigit()]
    people = int(numbers[0]) if numbers else 1_000_000
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as folder:
        file, mapping = Path(folder) / "people.csv", Path(folder) / "mapping.yaml"
        mapping.write_text(MAPPING)
        bad = file_make(file, people)
        floor = measured([sys.executable, "-c", _FLOOR, str(file)])
        command = [sys.executable, "manage.py", "import_profiles", str(file), "--mapping", str(mapping)]
        first = measured(command, stages="--stages" in sys.argv)
        right(file, people, bad)
    figures = {
        "people": people,
        "seconds": round(first["seconds"], 1),
        "peak_mb": round(first["peak_mb"]),
        "client_cpu_seconds": round(first["cpu"], 1),
        "people_per_second": round(people / first["seconds"]),
        "microseconds_each": round(first["seconds"] / people * 1e6, 1),
        "floor_seconds": round(floor["seconds"], 1),
        "floor_cpu_seconds": round(floor["cpu"], 1),
        "ratio_to_floor": round(first["seconds"] / floor["seconds"], 1),
        "load": os.getloadavg()[0],
    }
    for key, value in figures.items():
        print(f"{key:24}{value:>14,}")
    met = {name: people >= 1_000_000 and figures[name] <= limit for name, limit in TARGETS.items()}
    print(json.dumps({"name": "import", "figures": figures, "targets": TARGETS, "met": met}))


def file_make(path: Path, people: int) -> int:
    """Write the file; the same for the same number. Returns how many addresses in it are none."""
    chance = random.Random(people)
    countries = list(PHONES)
    bad = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file).writerow
        write(COLUMNS)
        for number in range(people):
            address, phone, country = told(number, chance, countries)
            if number % 1_000 == 999:
                address, bad = f"person{number}@example,com", bad + 1
            day = f"20{10 + number % 15}-{1 + number % 12:02d}-{1 + number % 28:02d}"
            write((address, phone, chance.choice(FIRST), chance.choice(LAST), country, day))
    return bad


def told(number: int, chance: random.Random, countries: list[str]) -> tuple[str, str, str]:
    """Address, phone and country of one person, each of their own."""
    country = countries[number % len(countries)]
    name = f"person.{number}" if number % 7 else f"Person{number}"
    address = f"{name}@{'mail' if number % 3 else 'post'}.example-{number % 50}.com"
    pattern = chance.choice(PHONES[country])
    return address, pattern.format(number // len(countries)), country


def measured(command: list[str], *, stages: bool = False) -> dict[str, float]:
    """Seconds on the wall, seconds of CPU of all its processes, and the most memory that they had together, in MB."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    most = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            most[0] = max(most[0], sum(map(memory_kb, family(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line.decode())
        if stages:
            print(f"{time.perf_counter() - began:7.1f} s  {said[-1]}", end="", file=sys.stderr)
    _, status, used = os.wait4(process.pid, 0)
    ended.set()
    watcher.join()
    if status:
        raise SystemExit(f"{command[1:3]} failed: {''.join(said[-20:])}")
    return {
        "seconds": time.perf_counter() - began,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mb": max(most[0], used.ru_maxrss) / 1024,
    }


def family(pid: int) -> list[int]:
    """A process and all that come from it."""
    found = [pid]
    for each in found:
        try:
            children = Path(f"/proc/{each}/task/{each}/children").read_text().split()
        except OSError:
            continue
        found += map(int, children)
    return found


def memory_kb(pid: int) -> int:
    """The share of memory of a process: pages that n processes share count for an nth (proc(5), `Pss`)."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def right(file: Path, people: int, bad: int) -> None:
    """Hold what came in against the file. Raises SystemExit where it is not the same."""
    found = {
        "profiles": one("SELECT count(*) FROM profiles_profile"),
        "addresses": one("SELECT count(*) FROM profiles_identifier WHERE kind = 'email' AND main"),
        "phones": one("SELECT count(*) FROM profiles_identifier WHERE kind = 'phone' AND main"),
        "keys": one("SELECT count(*) FROM profiles_profilekey"),
        "grants": one("SELECT count(*) FROM consent_consentstate WHERE granted"),
        "records": one("SELECT count(*) FROM consent_consentrecord WHERE evidence <> ''"),
        "links": one("SELECT count(*) FROM consent_consentlink"),
        "faults": one("SELECT counts->>'values_bad' FROM imports_import"),
        "staged": one("SELECT count(*) FROM imports_stagedperson"),
    }
    wanted = dict.fromkeys(("profiles", "phones", "keys", "grants", "records", "links"), people)
    wanted |= {"addresses": people - bad, "faults": bad, "staged": 0}
    if found != wanted:
        raise SystemExit(f"what came in is not what was in the file: {found}, and not {wanted}")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # the look-ups that follow are planned by what there is now
    step = max(people // 200, 1)
    with file.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines)):
            if number % step == 0 and as_stored(row["E-mail"].lower()) != as_told(number, row):
                raise SystemExit("somebody of the file is not there as they should be")


def as_told(number: int, row: dict[str, str]) -> dict[str, str]:
    """Of a line, what should be there."""
    pattern = next(pattern for pattern in PHONES[row["Country"]] if pattern.startswith("0") or row["Country"] == "US")
    width = int(pattern.partition("{:0")[2][0])
    return {
        "email": row["E-mail"].lower(),
        "phone": f"{PREFIXES[row['Country']]}{number // len(PHONES):0{width}d}",
        "name": f"{row['First name']} {row['Last name']}",
        "country": row["Country"],
        "since": row["Newsletter since"],
    }


def as_stored(address: str) -> dict[str, str]:
    """Of whom has this address, what is there."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.profile_id, i.kind, i.sealed, i.digest, p.first_name || ' ' || p.last_name, p.country,"
            " (s.changed_at AT TIME ZONE 'UTC')::date::text"
            " FROM profiles_identifier known JOIN profiles_identifier i USING (profile_id)"
            " JOIN profiles_profile p ON p.id = i.profile_id JOIN consent_consentstate s ON s.profile_id = p.id"
            " WHERE known.kind = 'email' AND known.digest = %s",
            [address_digest("email", address)],
        )
        rows = cursor.fetchall()
    found: dict[str, str] = {}
    vault = vault_open({row[0] for row in rows})
    for profile_id, kind, sealed, digest, name, country, since in rows:
        found[kind] = vault.open(profile_id, place_of(kind, bytes(digest)), bytes(sealed)).decode()
        found |= {"name": name, "country": country, "since": since}
    return found


def one(statement: str) -> int:
    """The number that a statement gives."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    main()
