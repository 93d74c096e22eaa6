"""Bodies of POSTs from strangers: bounded, and read leniently where the sender is a mail provider."""

import re
from urllib.parse import parse_qs

from django.http import HttpRequest

BODY_LIMIT = 8 * 1024
"""Bytes. One-click bodies have 26 or so, our own forms a few hundred."""

_MULTIPART = re.compile(rb'name="?List-Unsubscribe"?[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n\s*One-Click\s', re.IGNORECASE)


class BodyTooLarge(Exception):
    """The body is larger than anything that belongs here."""


def body_read(request: HttpRequest) -> bytes:
    """The request's body. Raises BodyTooLarge without reading on."""
    body = request.read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        raise BodyTooLarge
    return body


def fields_read(body: bytes) -> dict[str, list[str]]:
    """The fields of an urlencoded body; none when it is malformed."""
    try:
        return parse_qs(body.decode(), max_num_fields=50)
    except ValueError:  # not UTF-8, or too many fields
        return {}


def is_one_click(body: bytes) -> bool:
    """Whether a body says `List-Unsubscribe=One-Click` (RFC 8058, 3.2), urlencoded or as multipart/form-data.

    The multipart is not taken apart: the RFC's own example (8.3) has delimiters that a strict parser refuses,
    and the signed address, not the body, says whose choice it is.
    """
    values = fields_read(body).get("List-Unsubscribe", [])
    return any(value.strip().casefold() == "one-click" for value in values) or bool(_MULTIPART.search(body))
