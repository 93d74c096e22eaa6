"""Signed links from a message to its person's choices. No personal data is in them, only ids."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from uuid import UUID

from django.conf import settings

from apps.foundation.core.signing import BadToken, token_read, token_sign


class LinkScope(StrEnum):
    """What a link is good for; a token of one scope is worth nothing in another. Also its path."""

    UNSUBSCRIBE = "u"
    PREFERENCES = "p"
    TEST = "t"
    CONFIRM = "c"
    EXPORT = "x"
    ANSWER = "a"
    NEW_ADDRESS = "n"
    TAKE_BACK = "b"


_BY_NAME = {
    name: (scope.value, tail)  # texts: of an enumeration's members Python takes three times as long to write one
    for name, scope, tail in (
        ("unsubscribe", LinkScope.UNSUBSCRIBE, ""),
        ("preferences", LinkScope.PREFERENCES, ""),
        ("confirm", LinkScope.CONFIRM, ""),
        ("export", LinkScope.EXPORT, ""),
        ("new_address", LinkScope.NEW_ADDRESS, ""),
        ("take_back", LinkScope.TAKE_BACK, ""),
        ("answer_1", LinkScope.ANSWER, "/1"),
        ("answer_2", LinkScope.ANSWER, "/2"),
        ("answer_3", LinkScope.ANSWER, "/3"),
    )
}
"""What templates call the links of a message, each with its scope and what stands behind the token."""


def link_url(scope: LinkScope, *, profile_id: int, message_id: UUID, key_id: str | None = None) -> str:
    """The address of a link; the same arguments and key give the same link again. Raises BadToken for a lost key."""
    token = token_sign(scope, profile_id.to_bytes(8, "big") + message_id.bytes, key_id=key_id)
    return f"{settings.BASE_URL}/{scope}/{token}"


def unsubscribe_url(*, profile_id: int, message_id: UUID, key_id: str | None = None) -> str:
    """Where one leaves: by POST in one step (RFC 8058), or by a button on the page."""
    return link_url(LinkScope.UNSUBSCRIBE, profile_id=profile_id, message_id=message_id, key_id=key_id)


def preferences_url(*, profile_id: int, message_id: UUID, key_id: str | None = None) -> str:
    """Where one sees and changes what one gets."""
    return link_url(LinkScope.PREFERENCES, profile_id=profile_id, message_id=message_id, key_id=key_id)


def links_named(
    names: Iterable[str], *, profile_id: int, message_id: UUID, key_id: str | None = None
) -> dict[str, str]:
    """The links of a message by the names that templates have for them. Raises BadToken for a lost key."""
    base, payload = settings.BASE_URL, profile_id.to_bytes(8, "big") + message_id.bytes
    made = {}
    for name in names:
        scope, tail = _BY_NAME[name]
        made[name] = f"{base}/{scope}/{token_sign(scope, payload, key_id=key_id)}{tail}"
    return made


_FOR_EVERYBODY = frozenset({"unsubscribe", "preferences"})


def links_elsewhere(links: Mapping[str, str]) -> dict[str, str]:
    """The links of a message to an address that is not the person's main one: whoever reads it may be a stranger.

    Those that act for the person lead to where one types in one's own address instead.
    """
    return {
        name: f"{settings.BASE_URL}/{LinkScope.PREFERENCES}/" if name in _FOR_EVERYBODY else url
        for name, url in links.items()
    }


def link_read(scope: LinkScope, token: str) -> tuple[int, UUID]:
    """The profile id and the message id of a link. Raises BadToken."""
    payload = token_read(scope, token)
    if len(payload) != 24:
        raise BadToken("not a link's token")
    return int.from_bytes(payload[:8], "big"), UUID(bytes=payload[8:])


def trial_link_url(of: LinkScope, *, test_id: UUID) -> str:
    """The address that stands in for a link of scope `of` in a message that is only a test. It acts for nobody."""
    token = token_sign(LinkScope.TEST, of.encode().ljust(8) + test_id.bytes)
    return f"{settings.BASE_URL}/{LinkScope.TEST}/{token}"


def trial_links(*, test_id: UUID) -> dict[str, str]:
    """What stands in for every link of a message that is only a test, by the names that templates have for them."""
    return {name: trial_link_url(LinkScope(scope), test_id=test_id) for name, (scope, _) in _BY_NAME.items()}


def trial_link_read(token: str) -> tuple[LinkScope, UUID]:
    """The scope that a test's link stands for, and the id of the test. Raises BadToken."""
    payload = token_read(LinkScope.TEST, token)
    if len(payload) != 24:
        raise BadToken("not a test's token")
    try:
        return LinkScope(payload[:8].decode("ascii").rstrip()), UUID(bytes=payload[8:])
    except ValueError:
        raise BadToken("not a test's token") from None
