"""Identifiers that sort by the time they were made."""

import os
import time
import uuid
from datetime import datetime


def uuid7() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562, 5.7): 48 bits of milliseconds, then 74 random bits."""
    value = int(time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def uuid7_first(at: datetime) -> uuid.UUID:
    """What no id of version 7 made at a moment or later lies below, and every earlier one does."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80)
