"""Reading real orders in, beside a bare pass of csv.reader over the same file.

usage: bin/bench import_orders [FILE]     FILE: UCI Online Retail, by default ../shared/data/online_retail.csv.gz

Works in a database of its own beside the one of DATABASE_URL (whose user must be allowed to make it), and drops it.
Prints JSON: figures, targets, and whether they are met. Seconds are on the wall, memory is the process's peak.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT.parent / "shared" / "data" / "online_retail.csv.gz"
TARGETS = {"seconds": 60, "peak_mb": 400}
BARE = "import csv, gzip, sys\nfor row in csv.reader(gzip.open(sys.argv[1], 'rt', newline='')): pass"
DATABASE = "bench_import_orders"


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, float, str]:
    """Seconds on the wall, seconds of CPU, peak in MB, and what was printed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    printed = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[1:3]} failed")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, printed


def main() -> None:
    """Measure and print."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    if not file.is_file():
        raise SystemExit(f"there is no {file}")
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = {**os.environ, "DATABASE_URL": url._replace(path=f"/{DATABASE}").geturl()}
    server = psycopg2.connect(os.environ["DATABASE_URL"])
    server.autocommit = True
    drop = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(DATABASE))
    with server.cursor() as cursor:
        cursor.execute(drop)
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    try:
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
        command = [sys.executable, "manage.py", "import_orders", str(file), "--preset", "online-retail"]
        command += ["--address-template", "customer-{id}@example.com"]
        bare_seconds, bare_cpu, bare_mb, _ = measured([sys.executable, "-c", BARE, str(file)], environment)
        first_seconds, first_cpu, first_mb, first = measured(command, environment)
        twice_seconds, _, _, twice = measured(command, environment)
        again_seconds, _, again_mb, again = measured([*command, "--again"], environment)
    finally:
        with server.cursor() as cursor:
            cursor.execute(drop)
        server.close()
    lines = int(first.split()[0].replace(",", ""))
    figures = {
        "lines": lines,
        "seconds": round(first_seconds, 1),
        "client_cpu_seconds": round(first_cpu, 1),
        "peak_mb": round(first_mb),
        "lines_per_second": round(lines / first_seconds),
        "seconds_the_second_time": round(twice_seconds, 1),
        "seconds_read_anew": round(again_seconds, 1),
        "peak_mb_read_anew": round(again_mb),
        "csv_reader_seconds": round(bare_seconds, 1),
        "csv_reader_cpu_seconds": round(bare_cpu, 1),
        "csv_reader_peak_mb": round(bare_mb),
        "ratio": round(first_seconds / bare_seconds, 1),
        "client_cpu_ratio": round(first_cpu / bare_cpu, 1),
        "load": os.getloadavg()[0],
        "same_figures": first == twice == again,
    }
    met = {name: figures[name] <= limit for name, limit in TARGETS.items()}
    print(json.dumps({"name": "import_orders", "figures": figures, "targets": TARGETS, "met": met}))


if __name__ == "__main__":
    main()
