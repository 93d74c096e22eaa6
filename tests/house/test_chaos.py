"""The judge of `bin/chaos send` finds each kind of fault, and a short send under blows has none."""

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bin.lib.chaos_relay import Draws, relay_run
from bin.lib.chaos_verdict import (
    DEFERRED,
    DROPPED,
    REFUSED,
    STALLED,
    TAKEN,
    Blow,
    LedgerRow,
    RelayLine,
    Terms,
    judge,
    log_read,
)
from bin.lib.servers import free_port
from bin.lib.venv import ROOT

TERMS = Terms(messages=5, connections=1, window=20)
BLOWS = [Blow("kill", 0.3), Blow("postgres", 4.0)]


def line(name: str, outcome: str = TAKEN, recipient: str | None = None) -> RelayLine:
    """One line of the relay's about `m-NAME` for `NAME`."""
    return RelayLine(1.0, outcome, f"m-{name}", name if recipient is None else recipient)


def row(name: str, state: str = "sent", reason: str = "") -> LedgerRow:
    """What the ledger has of it."""
    return LedgerRow(f"m-{name}", name, state, reason)


ROWS = [
    row("a"),
    row("b"),
    row("c", "failed", "refused"),
    row("d", "failed", "retries_exhausted"),
    row("e", "uncertain"),
]
LOG = [
    line("a", DEFERRED),
    line("a"),
    line("b"),
    RelayLine(1.0, REFUSED, "", "c"),
    line("d", DEFERRED),
    line("e", DROPPED),
]


def test_a_send_that_kept_its_promise_has_no_fault() -> None:
    verdict = judge(ROWS, LOG, BLOWS, TERMS)

    assert verdict.faults == {}
    assert verdict.states == {"sent": 2, "failed": 2, "uncertain": 1}
    assert verdict.uncertain_at_most == 2  # the kill, and what was dropped


@pytest.mark.parametrize(
    ("kind", "rows", "log"),
    [
        ("twice", ROWS, [*LOG, line("b")]),
        ("twice", ROWS, [*LOG, line("e")]),  # taken, not answered, and tried again
        ("lost", [row("a"), row("z"), *ROWS[2:]], [*LOG, RelayLine(1.0, DEFERRED, "", "z")]),
        ("lost", [*ROWS[:4], row("e")], [*LOG[:5], line("e", STALLED)]),
        ("untold", ROWS, [*LOG, line("c")]),
        ("untold", [row("a", "queued"), *ROWS[1:]], LOG),
        ("unfinished", [row("a", "sending"), *ROWS[1:]], LOG),
        ("unfinished", [row("a", "withheld", "no_consent"), *ROWS[1:]], LOG),
        ("unfounded", [*ROWS[:3], row("d", "failed", "refused"), ROWS[4]], LOG),
        ("unfounded", [*ROWS[:3], row("d", "failed", "render_failed"), ROWS[4]], LOG),
        ("stray", ROWS, [*LOG, line("a", DEFERRED, recipient="b")]),
        ("stray", ROWS, [*LOG, line("x")]),
        ("missing", ROWS[:4], LOG[:5]),
        ("unbounded", [row(name, "uncertain") for name in "abcde"], []),
    ],
)
def test_each_kind_of_fault_is_found(kind: str, rows: list[LedgerRow], log: list[RelayLine]) -> None:
    assert kind in judge(rows, log, BLOWS, TERMS).faults


def test_what_may_be_uncertain_grows_with_connections_stops_and_silence() -> None:
    blows = [Blow("kill", 1.0), Blow("kill", 1.0), Blow("stop", 1.0), Blow("redis", 1.0)]
    log = [line("a", STALLED), line("b", DROPPED)]
    assert judge([], log, blows, replace(TERMS, connections=4)).uncertain_at_most == 2 * 4 + 20 + 2


@pytest.mark.parametrize("resumed", [None, 60.1])
def test_a_send_that_does_not_go_on_by_itself_is_a_fault(resumed: float | None) -> None:
    assert "halted" in judge(ROWS, LOG, [*BLOWS, Blow("redis", resumed)], TERMS).faults


def test_the_relays_answers_come_from_the_seed_and_in_their_shares() -> None:
    first, again = Draws(7), Draws(7)
    drawn = [first.draw(f"{number}@example.com")[0] for number in range(4000)]
    assert drawn == [again.draw(f"{number}@example.com")[0] for number in range(4000)]
    assert 0.27 < drawn.count(DEFERRED) / 4000 < 0.33
    assert 0.04 < drawn.count(REFUSED) / 4000 < 0.06
    assert drawn.count(DROPPED)
    assert drawn.count(STALLED)
    # and another try may end otherwise
    assert {first.draw("0@example.com")[0] for _ in range(30)} >= {TAKEN, DEFERRED}


async def _talk(port: int, log: Path) -> bytes:
    """Two messages in one go, as a sender with pipelining has it."""
    serving = asyncio.create_task(relay_run(port, log, seed=1))
    await asyncio.sleep(0)
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            break
    words = b"EHLO x\r\n"
    for number in range(12):
        words += b"MAIL FROM:<a@b>\r\nRCPT TO:<%d@c>\r\nDATA\r\n" % number
        if Draws(1).draw(f"{number}@c") not in ((DEFERRED, True), (REFUSED, True)):
            words += b"Message-ID: <m-%d@x>\r\n\r\n..\r\n.\r\n" % number
    writer.write(words + b"QUIT\r\n")
    said = await reader.read(-1)
    writer.close()
    serving.cancel()
    return said


def test_the_relay_logs_what_it_answers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:  # in this one a browser's loop may be running
        said = pool.submit(asyncio.run, _talk(free_port(), tmp_path / "log")).result()
    log = log_read((tmp_path / "log").read_text().splitlines(keepends=True))
    assert [one.recipient for one in log] == [f"{number}@c" for number in range(12)][: len(log)]
    assert said.count(b"2.0.0 taken") == sum(one.outcome == TAKEN for one in log) > 0
    assert said.count(b"451 ") == sum(one.outcome == DEFERRED for one in log) > 0


def chaos(*arguments: str) -> dict[str, dict[str, int]]:
    """What a run reports."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        ["bin/chaos", "send", *arguments],
        cwd=ROOT,
        env={**environment, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, dict[str, int]] = json.loads(done.stdout.splitlines()[-1])
    return report


def test_a_short_send_keeps_its_promise_under_blows() -> None:
    short = "--messages 60 --kills 1 --stops 0 --postgres 1 --redis 1 --workers 1 --seed 11"
    report = chaos(*short.split())
    assert all(report["met"].values())
    assert report["figures"]["twice"] == report["figures"]["lost"] == 0


@pytest.mark.slow
def test_a_longer_send_keeps_its_promise_under_blows() -> None:
    report = chaos(*["--messages", "1500", "--kills", "8", "--stops", "2", "--postgres", "1", "--redis", "1"])
    assert all(report["met"].values())
