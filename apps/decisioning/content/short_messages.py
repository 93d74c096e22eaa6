"""SMS and push: what is written of one, and the three sources that it becomes. Pure.

A short message is a template like any other, so that it is proved, tried, approved and pinned like any other. Of its
sources an SMS sends the text; push the subject as its title, the text up to its first link, that link, and the picture.
The MJML is written here, and nobody edits it: it says the same, for who looks at a message in the admin.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from html import escape, unescape
from typing import Any, Final

EMAIL: Final = "email"
SMS: Final = "sms"
PUSH: Final = "push"
SHORT: Final = frozenset({SMS, PUSH})
BODY_MOST: Final = 500
"""Characters of a notification's text."""
TITLE_SHOWN: Final = 40
BODY_SHOWN: Final = 120
"""Characters of title and text that lock screens show at least: one line and about three on an iPhone, and on Android
before the notification is drawn open."""

_LEAVE: Final = "{{ links.unsubscribe }}"
_PICTURE: Final = "push-picture"
"""The class that marks the picture of a notification, in its MJML and in the HTML that this becomes."""
_LINK: Final = re.compile(r"https?://[^\s<>\"]+")
_MARKS: Final = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\[\[.*?\]\])", re.DOTALL)
_SLOT: Final = re.compile(r"(\[\[\s*slot:[^\]]*\]\])")
_IMAGE: Final = re.compile(rf'<mj-image css-class="{_PICTURE}" src="([^"]*)"')
_SHOWN: Final = re.compile(rf'class="{_PICTURE}[^"]*".*?<img\b[^>]*?\ssrc="(https?://[^"]+)"', re.DOTALL)
_SECTION: Final = "<mj-section><mj-column>{}</mj-column></mj-section>"
_FOOT: Final = _SECTION.format(f'<mj-text>[[ brand.postal_address ]] <a href="{_LEAVE}">Unsubscribe</a></mj-text>')


@dataclass(frozen=True, slots=True)
class Push:
    """What is written of a push message. link, image: addresses, "" for none."""

    title: str
    body: str
    link: str = ""
    image: str = ""


def sms_sources(text: str) -> dict[str, Any]:
    """The sources of an SMS. The link to leave is put at its end, unless it stands somewhere."""
    said = text.replace("\r\n", "\n").strip()
    whole = said if "links.unsubscribe" in said else f"{said}\n{_LEAVE}"
    return {"subject": "[[ brand.name ]]", "mjml": _mjml(said.replace(_LEAVE, "").strip()), "text": f"{whole}\n"}


def sms_text(text: str) -> str:
    """What was written of an SMS, out of its source."""
    return text.strip().removesuffix(f"\n{_LEAVE}").rstrip()


def push_sources(push: Push) -> dict[str, Any]:
    """The sources of a push message. The link to leave stands in its text, which a notification doesn't show."""
    body = push.body.replace("\r\n", "\n").strip()
    picture = ""
    if push.image:
        href = f' href="{escape(push.link)}"' if push.link and not _MARKS.search(push.link) else ""
        picture = f'<mj-image css-class="{_PICTURE}" src="{escape(push.image.strip())}" alt=""{href} />'
    lines = [body, *([push.link.strip()] if push.link.strip() else []), _LEAVE]
    mjml = _mjml(body, above=_SECTION.format(picture) if picture else "")
    return {"subject": push.title.strip(), "mjml": mjml, "text": "\n".join(lines) + "\n"}


def push_written(*, subject: str, mjml: str, text: str) -> Push:
    """What was written of a push message, out of its sources."""
    body = text.strip().removesuffix(_LEAVE).rstrip()
    above, _, last = body.rpartition("\n")
    link = last.strip() if _LINK.match(last.strip()) else ""
    image = _IMAGE.search(mjml)
    return Push(subject, above.rstrip() if link else body, link, unescape(image[1]) if image else "")


def push_said(text: str, *, passed_over: Collection[str]) -> tuple[str, str]:
    """What a notification shows of a rendered text, up to its first link, and the link that a press opens, "" for none.

    passed_over: links to leave and to the preferences, which are no content.
    """
    links = [link.rstrip(".,;)") for link in _LINK.findall(text)]
    first = next((link for link in links if link not in passed_over), "")
    said = " ".join(text.partition(links[0])[0].split()) if links else " ".join(text.split())
    if len(said) > BODY_MOST:
        said = said[: BODY_MOST - 1].rsplit(" ", 1)[0] + "…"
    return said, first


def push_picture(html: str) -> str:
    """The address of a notification's picture in its rendered HTML, "" for none."""
    found = _SHOWN.search(html) if _PICTURE in html else None
    return unescape(found[1]) if found else ""


def _mjml(said: str, *, above: str = "") -> str:
    """A text as MJML, slots as they are, with what each message needs below it."""
    parts = [
        part.strip() if _SLOT.fullmatch(part) else _SECTION.format(f"<mj-text>{_markup(part.strip())}</mj-text>")
        for part in _SLOT.split(said)
        if part.strip()
    ]
    head = "<mj-head><mj-title>[[ brand.name ]]</mj-title></mj-head>"
    return "\n".join([f"<mjml>{head}<mj-body>", *([above] if above else []), *parts, _FOOT, "</mj-body></mjml>"])


def _markup(text: str) -> str:
    """A text for MJML: escaped, but for what is filled in."""
    return "".join(
        part if _MARKS.fullmatch(part) else escape(part, quote=False).replace("\n", "<br/>\n")
        for part in _MARKS.split(text)
    )
