"""Getting a small file by HTTPS, from an address that was looked at by the caller."""

import http.client
import ssl
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 5.0
MOST: Final = 64 * 1024


def fetch(url: str) -> bytes:
    """The body behind an https address. Raises OSError: not there, too large, not 200, or not in time."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = http.client.HTTPSConnection(
        host, parts.port or 443, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
    )
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        answer = connection.getresponse()
        body = answer.read(MOST + 1)
    except http.client.HTTPException as error:
        raise OSError(f"{host}: {type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status != 200 or len(body) > MOST:
        raise OSError(f"{host}: {answer.status}, {len(body)} bytes")
    return body
