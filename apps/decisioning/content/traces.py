"""Links that tell that they were followed: where they stand in a message, and where each leads. Pure.

A traced message has `TRACE/NUMBER` for the address of each link, where TRACE belongs to the message (`[…]/l/TOKEN`).
The destination is never in it: a number below ITEMS is one of the compiled template's own links in their order, from
1; from ITEMS on it is the link of an item, by its slot and its place in what was decided. So a trace leads nowhere but
to where its message would have led anyway.

Of the HTML alone: a reader of plain text sees where a link goes. A link whose address is put together for each person
stays as it is, and so do those to the person's own choices.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from html import unescape
from typing import Any, Final

HONEYPOT: Final = 0
"""The number of a link that nobody sees: who follows it is a machine."""
ITEMS: Final = 1000
"""Numbers of items begin here, a thousand for each slot."""
NAME: Final = "trace__"
"""What the traced source calls the message's trace."""
PIXEL: Final = "o.gif"

_LINK: Final = re.compile(r"""(<(?:a|v:[a-z]+)\b[^<>{}]*?\shref=")(https?://[^"{}<>]*)(?=")""", re.IGNORECASE)
_BODY_END: Final = re.compile(r"</body>", re.IGNORECASE)
_SEEN: Final = (
    f'<a href="{{{{ {NAME} }}}}/{HONEYPOT}" style="display:none" tabindex="-1" aria-hidden="true"></a>'
    f'<img src="{{{{ {NAME} }}}}/{PIXEL}" width="1" height="1" alt="" style="display:block;border:0">'
)


@lru_cache(maxsize=256)
def destinations_of(html: str) -> tuple[str, ...]:
    """Where the links of a compiled source lead, each once, in the order in which they stand there."""
    return tuple(dict.fromkeys(unescape(found[2]) for found in _LINK.finditer(html)))


def source_traced(html: str) -> str:
    """A compiled source whose links tell that they were followed, with a link that only machines find and a picture
    that tells that the message was opened.
    """
    number = {url: at for at, url in enumerate(destinations_of(html), 1)}

    def traced(found: "re.Match[str]") -> str:
        at = number[unescape(found[2])]
        return f"{found[1]}{{{{ {NAME} }}}}/{at}" if at < ITEMS else found[0]

    source = _LINK.sub(traced, html)
    end = next((found.start() for found in reversed(list(_BODY_END.finditer(source)))), len(source))
    return f"{source[:end]}{_SEEN}{source[end:]}"


def slot_numbers(slots: Mapping[str, Any]) -> dict[str, int]:
    """The number before that of each slot's first item: its items count on from there."""
    return {name: ITEMS * at for at, name in enumerate(sorted(slots), 1)}
