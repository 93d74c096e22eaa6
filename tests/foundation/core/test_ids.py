"""UUIDs of version 7."""

import time

from apps.foundation.core.ids import uuid7


def test_version_variant_and_time() -> None:
    before = time.time_ns() // 1_000_000
    value = uuid7()
    after = time.time_ns() // 1_000_000

    assert (value.version, value.variant) == (7, "specified in RFC 4122")
    assert before <= value.int >> 80 <= after


def test_sort_by_time_and_differ() -> None:
    first = uuid7()
    time.sleep(0.002)
    later = [uuid7() for _ in range(10_000)]

    assert len(set(later)) == 10_000
    assert first < min(later)
