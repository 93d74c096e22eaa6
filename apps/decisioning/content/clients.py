"""What the main mail clients don't show, and how to see in a message that it relies on it. Pure.

The table is ours: what can stand in a message here and matters to the one who reads it. A test holds it against the
measurements of caniemail.com, as of the versions of clients that they name last. Whatever stands in a conditional
comment for Outlook on Windows (VML, tables that MJML writes) is that client's own substitute, so it is taken out first.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

CLIENTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "gmail-web": ("Gmail on the web", "gmail", "desktop-webmail"),
    "gmail-ios": ("Gmail on iPhone", "gmail", "ios"),
    "gmail-android": ("Gmail on Android", "gmail", "android"),
    "outlook-windows": ("Outlook on Windows", "outlook", "windows"),
    "outlook-web": ("Outlook.com", "outlook", "outlook-com"),
    "apple-mac": ("Apple Mail on Mac", "apple-mail", "macos"),
    "apple-iphone": ("Apple Mail on iPhone", "apple-mail", "ios"),
    "yahoo-web": ("Yahoo on the web", "yahoo", "desktop-webmail"),
    "yahoo-ios": ("Yahoo on iPhone", "yahoo", "ios"),
    "yahoo-android": ("Yahoo on Android", "yahoo", "android"),
}
"""Client → its name, and the family and platform that the measurements call it."""
_GROUPS: Final = (
    ("Gmail", ("gmail-web", "gmail-ios", "gmail-android")),
    ("Gmail's apps", ("gmail-ios", "gmail-android")),
    ("Apple Mail", ("apple-mac", "apple-iphone")),
    ("Yahoo", ("yahoo-web", "yahoo-ios", "yahoo-android")),
    ("Yahoo's apps", ("yahoo-ios", "yahoo-android")),
    ("Outlook", ("outlook-windows", "outlook-web")),
)
_GMAIL = frozenset({"gmail-web", "gmail-ios", "gmail-android"})
_OUTLOOK = frozenset({"outlook-windows", "outlook-web"})
_YAHOO = frozenset({"yahoo-web", "yahoo-ios", "yahoo-android"})
_WINDOWS = frozenset({"outlook-windows"})
_MOST = _GMAIL | _OUTLOOK | _YAHOO


Found = Callable[[str, str], bool]
"""Asked with a message's HTML, and with all CSS in it."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that a message may rely on.

    slug: its name in the measurements; found: whether a message has it; lacking: clients that don't show it;
    partly: of those that show it in part, the ones to name; shows: what they do instead, behind their names;
    helps: what to look at, for people.
    """

    slug: str
    found: Found
    lacking: frozenset[str]
    shows: str
    helps: str
    partly: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ClientNote:
    """What some clients don't show of a message. clients: their names, joined; text: the sentence; helps: the mend."""

    slug: str
    clients: str
    text: str
    helps: str


def _css(pattern: str) -> Found:
    """Looked for in style attributes and style sheets, not in what people read."""
    expression = re.compile(pattern, re.I)
    return lambda html, css: expression.search(css) is not None


def _html(pattern: str) -> Found:
    expression = re.compile(pattern, re.I)
    return lambda html, css: expression.search(html) is not None


def _picture(*endings: str) -> Found:
    return _html(rf"<img\b[^>]*\bsrc=\"[^\"]*\.(?:{'|'.join(endings)})(?:[?#][^\"]*)?\"")


FEATURES: Final[Sequence[Feature]] = (
    Feature(
        "css-background-image", _css(r"background(?:-image)?\s*:[^;\"}]*url\("), _WINDOWS,
        "shows no background image", "See that the words can be read on the background colour alone.",
    ),
    Feature(
        "css-linear-gradient", _css(r"linear-gradient\("), (_OUTLOOK | _YAHOO),
        "shows no colour gradient", "Give a plain background colour before it.",
    ),
    Feature(
        "css-radial-gradient", _css(r"radial-gradient\("), (_OUTLOOK | _YAHOO),
        "shows no colour gradient", "Give a plain background colour before it.",
    ),
    Feature(
        "css-border-radius", _css(r"border-radius\s*:\s*(?!0(?:px)?\s*[;\"}!])"), _WINDOWS,
        "shows square corners", "Nothing is lost: corners are square there.",
    ),
    Feature(
        "css-box-shadow", _css(r"box-shadow\s*:"), frozenset({"gmail-web"}) | _WINDOWS | _YAHOO,
        "shows no shadow", "Don't let a shadow be all that sets a part apart.",
        partly=frozenset({"gmail-ios", "gmail-android"}),
    ),
    Feature(
        "css-text-shadow", _css(r"text-shadow\s*:"), _GMAIL | _OUTLOOK,
        "shows no shadow behind words", "See that the words can be read without it.",
    ),
    Feature(
        "css-display-flex", _css(r"display\s*:\s*(?:inline-)?flex"), _WINDOWS,
        "doesn't know flex boxes", "Use MJML's columns.", partly=frozenset({"gmail-ios", "gmail-android"}),
    ),
    Feature(
        "css-display-grid", _css(r"display\s*:\s*(?:inline-)?grid"), _WINDOWS,
        "doesn't know grids", "Use MJML's columns.", partly=frozenset({"gmail-ios", "gmail-android"}),
    ),
    Feature(
        "css-position", _css(r"[\s;\"{]position\s*:\s*(?:absolute|relative|fixed|sticky)"), _GMAIL | _WINDOWS,
        "ignores positions", "Put things one below the other.", partly=_YAHOO | {"outlook-web"},
    ),
    Feature(
        "css-at-font-face", _css(r"@font-face|@import[^;]*fonts?"), _GMAIL | {"outlook-web"} | _YAHOO,
        "shows another font", "Name a common font behind it.", partly=_WINDOWS,
    ),
    Feature(
        "css-animation", _css(r"[\s;\"{]animation(?:-name)?\s*:"), _MOST,
        "shows no animation", "See that the message is whole without it.",
    ),
    Feature(
        "css-at-media-prefers-color-scheme", _css(r"prefers-color-scheme\s*:\s*dark"), _GMAIL | _WINDOWS | _YAHOO,
        "doesn't use the message's own dark colours", "Some of them invert colours themselves: look at that preview.",
    ),
    Feature("css-variables", _css(r"var\(\s*--"), _MOST, "doesn't know CSS variables", "Write the value itself."),
    Feature(
        "css-opacity", _css(r"[\s;\"{]opacity\s*:\s*0?\.\d"), _WINDOWS,
        "shows what is half transparent in full", "Use a lighter colour.",
    ),
    Feature("css-transform", _css(r"[\s;\"{]transform\s*:"), _MOST, "doesn't turn or move parts", "Leave it out."),
    Feature("css-filter", _css(r"[\s;\"{]filter\s*:(?!\s*alpha)"), _MOST, "ignores filters", "Change the picture."),
    Feature(
        "css-object-fit", _css(r"object-fit\s*:"), _WINDOWS | _YAHOO,
        "stretches the picture", "Cut the picture to its size.", partly=frozenset({"gmail-ios", "gmail-android"}),
    ),
    Feature(
        "css-unit-rem", _css(r"[:\s]\d*\.?\d+rem\b"), _WINDOWS | _YAHOO, "ignores sizes in rem", "Write sizes in px.",
    ),
    Feature(
        "css-pseudo-class-hover", _css(r":hover\b"), frozenset({"gmail-ios"}) | _WINDOWS,
        "shows nothing when a link is pointed at", "Nothing is lost.", partly=frozenset({"outlook-web"}),
    ),
    Feature(
        "image-svg", _picture("svg"), frozenset({"gmail-web"}), "shows no SVG picture", "Use PNG.",
        partly=frozenset({"gmail-ios", "gmail-android"}),
    ),
    Feature("image-webp", _picture("webp"), _WINDOWS, "shows no WebP picture", "Use PNG or JPEG."),
    Feature("image-avif", _picture("avif"), _WINDOWS, "shows no AVIF picture", "Use PNG or JPEG."),
    Feature(
        "image-gif", _picture("gif"), frozenset(),
        "may show only the first picture of an animation", "Let the first picture say it all.", partly=_WINDOWS,
    ),
    Feature(
        "image-base64", _html(r"<img\b[^>]*\bsrc=\"data:"), _GMAIL, "shows no picture that is inside the message",
        "Put the picture on a host of the brand.", partly=_WINDOWS,
    ),
    Feature("html-picture", _html(r"<picture\b"), _MOST, "doesn't choose between pictures", "Use one picture."),
    Feature("html-srcset", _html(r"\bsrcset="), _MOST, "doesn't choose between pictures", "Use one picture."),
    Feature(
        "html-video", _html(r"<video\b"), _MOST, "plays no video", "Use a picture that leads to it.",
        partly=frozenset({"apple-iphone"}),
    ),
)  # fmt: skip
_CONDITIONAL = re.compile(r"<!--\[if (?!!mso).*?<!\[endif\]-->", re.S)
_STYLES = re.compile(r"\bstyle=\"([^\"]*)\"|<style[^>]*>(.*?)</style>", re.S | re.I)
_VML_FILL = re.compile(r"<v:(?:fill|image)\b", re.I)


def client_notes(html: str) -> list[ClientNote]:
    """What of a rendered message some main client doesn't show."""
    for_windows = "".join(_CONDITIONAL.findall(html))
    plain = _CONDITIONAL.sub("", html)
    css = "\n".join(f"{{{attribute or sheet};}}" for attribute, sheet in _STYLES.findall(plain))
    notes = []
    for feature in FEATURES:
        if not feature.found(plain, css):
            continue
        lacking = feature.lacking
        if feature.slug == "css-background-image" and _VML_FILL.search(for_windows):
            lacking = lacking - _WINDOWS  # MJML wrote the same for it
        names = clients_joined(lacking)
        partly = clients_joined(feature.partly)
        if not names and not partly:
            continue
        said = f"{names} {feature.shows}" if names else ""
        also = f"{partly} in part" if names else f"{partly} {feature.shows}"
        text = "; ".join(part for part in (said, also if partly else "") if part) + "."
        notes.append(ClientNote(feature.slug, names or partly, _plural(text, names or partly), feature.helps))
    return notes


def clients_joined(clients: frozenset[str]) -> str:
    """Names of clients for people, a whole family by its name."""
    left, names = set(clients), []
    for title, members in _GROUPS:
        if left.issuperset(members):
            names.append(title)
            left.difference_update(members)
    names += [title for code, (title, _, _) in CLIENTS.items() if code in left]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


_VERBS: Final = {"shows": "show", "doesn't": "don't", "ignores": "ignore", "stretches": "stretch", "plays": "play"}


def _plural(text: str, names: str) -> str:
    """The sentence's first verb for several clients."""
    if " and " not in names and not names.endswith("apps"):
        return text
    head, _, rest = text[len(names) :].strip().partition(" ")
    return f"{names} {_VERBS.get(head, head)} {rest}"
