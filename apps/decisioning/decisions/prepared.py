"""Choices that were made ahead of a send, in Redis, for the processes that decide (`choices.py`, `ahead.py`).

Each stands under the digest of all that it depends on, sealed for it with a key of the installation, and ends by
itself. So one that is found is the right one or none: what was cut, changed, put elsewhere or made by other code does
not open, and is as if it were not there. Redis away is as if it were empty.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final, cast

import orjson
import redis
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from apps.decisioning.audiences import rules
from apps.decisioning.content import choosing
from apps.decisioning.recommendations import rankers
from apps.foundation.core.crypto import Tampered, seal, unseal
from apps.foundation.core.quick import LeftAlone, redis_quick
from apps.foundation.core.signing import address_digest

from . import engine
from .contracts import Choice
from .sealing import choice_of, packed_read

logger = logging.getLogger(__name__)

_WAIT_SECONDS: Final = 0.25
_NAME: Final = b"choice:"
_MADE_BY: Final = (engine, rules, choosing, rankers)
"""Choices are made by what stands beside these. Another text of any of it, and what the former one made is not read."""


@lru_cache(maxsize=1)
def _form() -> str:
    """A digest of what choices are made by."""
    made_by = sha256()
    for module in _MADE_BY:
        for path in sorted(Path(str(module.__file__)).parent.glob("*.py")):
            made_by.update(path.read_bytes())
    return made_by.hexdigest()


@lru_cache(maxsize=2)
def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(secret)


def _sealing() -> AESGCM:
    return _cipher(address_digest("choices", _form())[-32:])


def prepared_write(made: Mapping[bytes, Choice]) -> int:
    """Put choices into Redis, each under the digest of what it depends on. Returns how many. Raises
    redis.RedisError."""
    cipher = _sealing()
    client = redis_quick(settings.REDIS_URL, _WAIT_SECONDS)
    with client.pipeline(transaction=False) as pipeline:
        for key, one in made.items():
            head = orjson.dumps([one.compiled, one.tier, one.looked, one.mark.hex()])
            pipeline.set(
                _NAME + key, seal(cipher, b"\n".join((head, one.packed)), key), ex=settings.PRECOMPUTED_SECONDS
            )
        pipeline.execute()
    return len(made)


def prepared_read(keys: Sequence[bytes]) -> dict[bytes, Choice]:
    """The choices that are there for these digests, whatever the catalog says by now."""
    try:
        client = redis_quick(settings.REDIS_URL, _WAIT_SECONDS)
        found = cast(Iterable[bytes | None], client.mget([_NAME + key for key in keys]))
    except redis.RedisError as error:
        if not isinstance(error, LeftAlone):  # said when it was asked
            logger.warning("choices are made anew: %s", type(error).__name__)
        return {}
    cipher = _sealing()
    opened: dict[bytes, Choice] = {}
    for key, sealed in zip(keys, found, strict=True):
        if sealed is None:
            continue
        try:
            head, _, packed = unseal(cipher, sealed, key).partition(b"\n")
        except Tampered:
            continue
        compiled, tier, looked, mark = orjson.loads(head)
        opened[key] = choice_of(
            compiled=compiled,
            tier=tier,
            looked=tuple(looked),
            mark=bytes.fromhex(mark),
            alike=packed_read(packed),
            packed=packed,
        )
    return opened
