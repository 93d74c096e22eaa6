"""Messages that wait to be fetched: a web page or an app asks for them. Handing one over is letting it wait."""

import json
from collections.abc import Callable

from .contracts import Envelope, Receipt
from .errors import Withdrawn


def web_bytes(*, title: str, text: str, html: str) -> bytes:
    """A message as it is fetched."""
    return json.dumps({"title": title, "text": text, "html": html}, ensure_ascii=False, separators=(",", ":")).encode()


class WebChannel:
    """Nothing leaves the house, so nothing can be away."""

    def open(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to let go of."""

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        """Let a message wait for its person. Raises Withdrawn."""
        if not before_end():
            raise Withdrawn
        return Receipt("waiting", "waits to be fetched")
