"""Messages when an address is digested anew (`profiles.lookup`): they go over with it, so it is still one address."""

from collections.abc import Sequence
from typing import Final

from django.db import connection

from apps.data.profiles.lookup import Moved, digest_follower, digests_by_version

_FOLLOW: Final = """
UPDATE sending_message AS message SET address_digest = moved.after
FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS moved(profile_id, before, after)
WHERE message.profile_id = moved.profile_id AND message.address_digest = moved.before
"""


def _follow(moved: Sequence[Moved]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _FOLLOW,
            [[one.profile_id for one in moved], [one.before for one in moved], [one.after for one in moved]],
        )


def following_register() -> None:
    """Tell `profiles.lookup` that messages hold digests."""
    digest_follower(
        "messages to addresses that their people no longer have",
        _follow,
        lambda: digests_by_version("sending_message", "address_digest"),
    )
