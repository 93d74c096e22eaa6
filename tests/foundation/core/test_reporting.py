"""Logs say what happened and where, and nothing of anybody."""

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import DatabaseError, connection, transaction

from apps.foundation.core.errors import Conflict, PermanentError
from apps.foundation.core.reporting import PlainFormatter, crashes_report_plainly
from tests.factories import make_profile

CANARY = "Zephyrine"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a logger writes through the formatter of the settings."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(PlainFormatter("%(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("tests.reporting")
    logger.addHandler(handler)
    logger.propagate = False
    yield out
    logger.removeHandler(handler)


def _fails(what: Callable[[], object]) -> None:
    """Run what raises, and log that, in each way in which code does."""
    logger = logging.getLogger("tests.reporting")
    try:
        what()
    except Exception as error:  # that is what is tried
        logger.exception("it failed: %s", error)
        logger.warning("it failed: %r", error)
        logger.error(error)
        logger.error("Task failed: %(exc)s", {"exc": repr(error)}, exc_info=True)


def _raise(error: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


def _led_to() -> None:
    try:
        int(CANARY)
    except ValueError as error:
        raise KeyError(f"no number for {CANARY}") from error


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (_raise(ValueError(f"could not read {CANARY}")), "ValueError"),
        (_raise(UnicodeEncodeError("ascii", CANARY, 0, 1, "why")), "UnicodeEncodeError"),
        (_raise(Conflict("too_late", f"{CANARY} came too late", {"name": CANARY})), "Conflict: too_late"),
        (_raise(PermanentError("550", f"no such user {CANARY}")), "PermanentError: 550"),
        (_raise(FileNotFoundError(2, "No such file or directory", CANARY)), "No such file or directory"),
        (_raise(AttributeError("'Profile' object has no attribute 'nam'")), "no attribute 'nam'"),
        (_led_to, "which led to:"),
    ],
)
def test_an_exception_is_told_by_its_kind_and_place(log: io.StringIO, what: Callable[[], object], said: str) -> None:
    _fails(what)
    assert said in log.getvalue()
    assert "test_reporting.py" in log.getvalue()
    assert CANARY not in log.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        # the database says which row failed, which key was there already, and what it could not read
        ("INSERT INTO profiles_profile (first_name) VALUES (%s)", "23502 profiles_profile"),
        ("SELECT %s::int", "22P02"),
        ("SELECT nothing, %s", "42703"),
        ("DO $$ BEGIN RAISE EXCEPTION 'it is %%', %s; END $$", "P0001"),
    ],
)
def test_an_error_of_the_database_is_told_by_its_code(log: io.StringIO, statement: str, said: str) -> None:
    make_profile(first_name=CANARY)

    def fail() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [CANARY])

    with pytest.raises(DatabaseError, match=CANARY):
        fail()
    _fails(fail)
    assert said in log.getvalue()
    assert CANARY not in log.getvalue()


def test_addresses_and_tokens_of_links_are_masked_whoever_writes_them(log: io.StringIO) -> None:
    token = "k1.AAAAAAAAACABmiBO" + "x" * 40
    logging.getLogger("tests.reporting").warning("Not Found: /p/%s of %s", token, "zephyrine@example.com")
    assert log.getvalue() == "WARNING tests.reporting Not Found: /p/k1.… of •••\n"


def test_another_handlers_traceback_is_not_taken_over(log: io.StringIO) -> None:
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it failed", None, None)
    record.exc_text = f"Traceback: {CANARY}"
    assert PlainFormatter().format(record) == "it failed"
    assert record.exc_text == f"Traceback: {CANARY}"


def test_all_that_is_logged_goes_through_it_and_no_statement_with_its_values() -> None:
    code = (
        "import django, logging; django.setup()\n"
        "names = [None, 'django', 'django.request', 'django.server', 'celery', 'apps.data']\n"
        "for name in names:\n"
        "    logger = logging.getLogger(name)\n"
        "    while logger is not None:\n"
        "        writing = [one for one in logger.handlers if type(one) is not logging.NullHandler]\n"
        "        print(name, [type(one.formatter).__name__ for one in writing], logger.propagate)\n"
        "        logger = logger.parent\n"
        "print(logging.getLogger('django.db.backends').isEnabledFor(logging.DEBUG))"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {line.split(" ", 1)[1] for line in lines[:-1]} == {"['PlainFormatter'] True", "[] True"}
    assert lines[-1] == "False"


def test_what_nobody_caught_is_reported_in_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.excepthook, threading.excepthook
    crashes_report_plainly()
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as error:
            sys.excepthook(ValueError, error, error.__traceback__)
    finally:
        sys.excepthook, threading.excepthook = before
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):")
    assert said.endswith("ValueError\n")
    assert CANARY not in said


def test_a_command_that_crashes_says_where_and_not_with_what() -> None:
    code = f"raise ValueError('{CANARY}')"
    shell = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code], capture_output=True, text=True, check=False
    )
    assert shell.returncode == 1
    assert shell.stderr.endswith("ValueError\n")
    assert CANARY not in shell.stderr.replace(code, "")
