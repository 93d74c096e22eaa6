"""Logs and crash reports without personal data.

An exception's words often hold values: a database says which row failed, Python which text it could not read. So of an
exception are written its kind, its code where it has one, and where it happened; its words only where they name code.
Addresses and the tokens of people's links are masked in every line, whoever wrote it.
"""

import copy
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

from django.db import Error as DjangoDatabaseError
from psycopg2 import Error as DatabaseError

from .errors import DomainError, ProviderError
from .masking import addresses_mask

_TOKEN = re.compile(r"(/[A-Za-z0-9]{1,20}\.)[A-Za-z0-9_=-]{40,}")
"""The token in a person's link: whoever has it may choose for them."""
_OF_CODE: Final = (ImportError, AttributeError, NameError)
"""Kinds whose words name modules, attributes and variables."""


class PlainFormatter(logging.Formatter):
    """Writes a record without personal data, as far as a machine can tell."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and where it happened."""
        plain = copy.copy(record)  # other handlers see the record as it was
        plain.exc_text = None
        plain.msg, plain.args = _message(record), None
        return _masked(super().format(plain))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """Where it happened, without values."""
        return exception_plain(ei[1]) if ei[1] is not None else ""


def _masked(text: str) -> str:
    return _TOKEN.sub(r"\1…", addresses_mask(text))


def _message(record: logging.LogRecord) -> str:
    """The record's message, exceptions in it by their kind."""
    args: Any = record.args
    if isinstance(args, tuple):
        args = tuple(_words(arg) if isinstance(arg, BaseException) else arg for arg in args)
    message = str(record.msg) if not isinstance(record.msg, BaseException) else _words(record.msg)
    message = message % args if args else message
    for error in _chain(record.exc_info[1]) if record.exc_info else ():
        for said in (repr(error), str(error)):  # Celery writes them into its message
            if len(said) > 1:
                message = message.replace(said, _words(error))
    return message


def exception_plain(error: BaseException) -> str:
    """A traceback of an exception and those that led to it, each by its kind instead of its words."""
    parts = []
    for one in _chain(error):
        where = "".join(traceback.format_tb(one.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{where}{_words(one)}")
    return "\n\nwhich led to:\n\n".join(reversed(parts))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, then what led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _words(error: BaseException) -> str:
    """What may be said of an exception: its kind, and what surely holds no value of anybody."""
    said = ""
    if isinstance(error, DomainError | ProviderError):
        said = error.code
    elif isinstance(error, DatabaseError | DjangoDatabaseError):
        cause = error if isinstance(error, DatabaseError) else error.__cause__
        diag = getattr(cause, "diag", None)
        said = " ".join(
            filter(None, (getattr(diag, name, None) for name in ("sqlstate", "table_name", "constraint_name")))
        )
    elif isinstance(error, OSError):
        said = error.strerror or ""
    elif isinstance(error, _OF_CODE):
        said = str(error)
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{name}: {said}" if said else name


def crashes_report_plainly() -> None:
    """Have Python itself report what nobody caught, in a command or a thread, in the same way."""

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        sys.stderr.write(_masked(exception_plain(error)) + "\n")

    def report_of_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            report(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = report
    threading.excepthook = report_of_thread
