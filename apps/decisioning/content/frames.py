"""What goes over the pipes to a child process and back: frames of a kind, a length and JSON.

Of types only those of a table are written and read, and they are dataclasses without logic: nothing that a child
answers can run anything here, as a pickle could.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

HEAD: Final = struct.Struct(">cI")
"""A frame begins with its kind, one byte, and the length of the rest."""
MAX_JOB: Final = 16 * 1024 * 1024
"""Bytes of a job."""
MAX_ANSWER: Final = 1024 * 1024
"""Bytes of an answer: 1 MiB."""
_TYPE, _OF = "", "of"

Types = Mapping[str, type[Any]]


class Frame(Enum):
    """What a frame is: a job goes to the child, the others come from it."""

    JOB = b"J"
    READY = b"R"
    STEP = b"S"
    ANSWER = b"A"
    FAILURE = b"F"


def frame_of(kind: Frame, body: bytes) -> bytes:
    return HEAD.pack(kind.value, len(body)) + body


def value_write(value: object, types: Types) -> bytes:
    """A value as bytes. Raises TypeError for what is neither plain data nor of `types`."""
    return json.dumps(_plain(value, types), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def value_read(data: bytes, types: Types) -> Any:
    """The value that was written. Raises ValueError for anything else."""
    try:
        return _whole(json.loads(data.decode("utf-8", "surrogatepass")), types)
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"not a value of ours: {type(error).__name__}") from None


def _plain(value: object, types: Types) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_plain(entry, types) for entry in value]
    if isinstance(value, tuple):
        return {_TYPE: "tuple", _OF: [_plain(entry, types) for entry in value]}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("keys of what goes to a child are texts")
        plain = {key: _plain(entry, types) for key, entry in value.items()}
        return {_TYPE: "dict", _OF: plain} if _TYPE in plain else plain
    name = type(value).__name__
    if not is_dataclass(value) or types.get(name) is not type(value):
        raise TypeError(f"{name} can't go to a child process")
    return {_TYPE: name, _OF: {field.name: _plain(getattr(value, field.name), types) for field in fields(value)}}


def _whole(value: Any, types: Types) -> Any:
    if isinstance(value, list):
        return [_whole(entry, types) for entry in value]
    if not isinstance(value, dict):
        return value
    if _TYPE not in value:
        return {key: _whole(entry, types) for key, entry in value.items()}
    kind, of = value[_TYPE], value[_OF]
    if kind == "tuple":
        return tuple(_whole(entry, types) for entry in of)
    parts = {key: _whole(entry, types) for key, entry in of.items()}
    return parts if kind == "dict" else types[kind](**parts)
