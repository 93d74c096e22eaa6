"""The stream by which the open pages of a person move: other tabs, other devices, and after what staff did."""

from django.http import HttpRequest, HttpResponseBase

from apps.data.consent.links import LinkScope, link_read
from apps.foundation.core.live import stream_answer
from apps.foundation.core.signing import BadToken

from .selectors import profile_exists


async def preferences_stream(request: HttpRequest, token: str) -> HttpResponseBase:
    """Server-sent events of the person of a link: «something changed», nothing more. No cookie, no data."""
    try:
        profile_id, _message_id = link_read(LinkScope.PREFERENCES, token)
    except BadToken:
        profile_id = 0
    channel = f"profile-{profile_id}"
    return await stream_answer(
        request, channel, allowed=lambda: bool(profile_id) and profile_exists(profile_id), refused=404, guest=channel
    )
