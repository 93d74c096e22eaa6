"""The signed texts of the sign-up pages: when a form was shown, whose survey it is, and the preview for staff."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from apps.foundation.core.signing import BadToken, token_read, token_sign

_SHOWN: Final = "sign-up-shown"
_SURVEY: Final = "s"
_PREVIEW: Final = "sign-up-preview"


def shown_token(form_id: int, at: datetime) -> str:
    """Says when a form was shown; tells a person, who reads first, from a program that posts at once."""
    return token_sign(_SHOWN, form_id.to_bytes(8, "big") + int(at.timestamp() * 1000).to_bytes(8, "big"))


def shown_at(form_id: int, token: str) -> datetime | None:
    """When the form was shown, None for a token that is none of ours, or another form's."""
    try:
        payload = token_read(_SHOWN, token[:200])
    except BadToken:
        return None
    if len(payload) != 16 or int.from_bytes(payload[:8], "big") != form_id:
        return None
    return datetime.fromtimestamp(int.from_bytes(payload[8:], "big") / 1000, UTC)


def survey_token(sign_up_id: UUID) -> str:
    """Opens the survey of one sign-up, until it is confirmed: whoever filled in the form has it, the address or not."""
    return token_sign(_SURVEY, sign_up_id.bytes)


def survey_read(token: str) -> UUID:
    """The sign-up of a survey's token. Raises BadToken."""
    payload = token_read(_SURVEY, token)
    if len(payload) != 16:
        raise BadToken("not a survey's token")
    return UUID(bytes=payload)


def preview_token(form_id: int) -> str:
    """Lets staff look at a form before people can."""
    return token_sign(_PREVIEW, form_id.to_bytes(8, "big"))


def preview_holds(form_id: int, token: str) -> bool:
    """Whether a token is this form's preview."""
    try:
        return token_read(_PREVIEW, token[:200]) == form_id.to_bytes(8, "big")
    except BadToken:
        return False
