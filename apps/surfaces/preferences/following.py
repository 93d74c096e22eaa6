"""The stream by which the open pages of a person move: other tabs, other devices, and after what staff did."""

from django.http import HttpRequest, HttpResponseBase

from apps.data.consent.links import LinkScope, link_read
from apps.foundation.core.live import stream_answer
from apps.foundation.core.signing import BadToken

from .aged import link_is_old
from .selectors import profile_exists


async def preferences_stream(request: HttpRequest, token: str) -> HttpResponseBase:
    """Server-sent events of the person of a link: «something changed», nothing more. No cookie, no data."""
    try:
        profile_id, message_id = link_read(LinkScope.PREFERENCES, token)
    except BadToken:
        return await stream_answer(request, "", allowed=lambda: False, refused=404)

    def allowed() -> bool:
        return profile_exists(profile_id) and not link_is_old(message_id)

    channel = f"profile-{profile_id}"
    return await stream_answer(request, channel, allowed=allowed, refused=404, guest=channel)
