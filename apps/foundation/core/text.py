"""What counts as blank."""

import re
import unicodedata

_INVISIBLE = frozenset(
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2065\u2066\u2067\u2068\u2069\u206a\u206b"
    "\u206c\u206d\u206e\u206f\u2800\u3164\ufeff\uffa0\ufff9\ufffa\ufffb"
)
_NOTHING_WORDS = frozenset({"none", "nan", "null", "undefined"})
# A visible ASCII character that is in none of those words: enough to know, and most text has one early.
_SURELY_SEEN = re.compile(r"[!-@BCGHJKMP-TV-`bcghjkmp-tv-~]")


def visible(text: str) -> str:
    """`text` without white space, control and invisible characters."""
    return "".join(
        c
        for c in text
        if not c.isspace() and c not in _INVISIBLE and unicodedata.category(c) not in ("Cc", "Cf", "Zs", "Zl", "Zp")
    )


def is_blank(value: object) -> bool:
    """Whether a person would see nothing: promise 2 of the design.

    None, NaN, and text with nothing visible in it are blank; so are the words None, nan, null and
    undefined, which are what a missing value looks like once it was printed. 0 and False are not.
    """
    if value is None or value != value:  # NaN differs from itself
        return True
    if isinstance(value, str):
        if _SURELY_SEEN.search(value):
            return False
        seen = visible(value)
        return not seen or seen.casefold() in _NOTHING_WORDS
    return isinstance(value, list | tuple | dict | set) and not value


def lines_blank(text: str) -> bool:
    """Whether a person would see nothing in any line of it."""
    return not _SURELY_SEEN.search(text) and all(map(is_blank, text.splitlines()))
