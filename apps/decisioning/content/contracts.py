"""What crosses this app's border: specs in, compiled sources out. Plain data, no Django."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, NotRequired, TypedDict

from apps.foundation.core.errors import Invalid

CHOSEN_MARK: Final = "m"
"""Behind the number of a block version: shown because a model chose, and labelled so."""


class TierSpec(TypedDict):
    """One tier of a slot, as a playbook version pins it. The first whose condition holds is shown.

    when: an audience rule, or None; source: the recommendation list that must give `count` items, or None.
    chosen: the source is a model's choice, so that the message says so. valid_from (included), valid_until (not
    included): ISO 8601 in UTC; outside of them the tier doesn't show. Those three are left out where they say nothing.
    """

    tier: str
    name: str
    block_version: int
    when: dict[str, Any] | None
    source: str | None
    count: int
    chosen: NotRequired[bool]
    valid_from: NotRequired[str]
    valid_until: NotRequired[str]


def tier_block(tier: TierSpec) -> str:
    """How a decision and the compiled message call a tier's block: its version, with a mark where a model chose."""
    return f"{tier['block_version']}{CHOSEN_MARK if tier.get('chosen') else ''}"


class BrandSpec(TypedDict):
    """The brand as it was when a playbook version was made."""

    code: str
    name: str
    from_name: str
    from_email: str
    reply_to: str
    postal_address: str
    shop_url: str
    link_hosts: list[str]
    colours: dict[str, str]
    default_language: str
    labels: NotRequired[dict[str, dict[str, str]]]
    unsafe_words: NotRequired[list[str]]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that stops a template or block from being saved or published.

    where: the source (`subject`, `mjml`, `text`, `block Hero v3, de`…); line: from 1, 0 for the whole of it;
    token: the piece meant; mend: what is wrong and what to do.
    """

    where: str
    line: int
    token: str
    mend: str

    def __str__(self) -> str:
        place = f"{self.where}, line {self.line}" if self.line else self.where
        return f"{place}: {self.token} {self.mend}" if self.token else f"{place}: {self.mend}"


LINKS: Final = ("unsubscribe", "preferences")
"""Links that every message has."""
SYSTEM_LINKS: Final = ("confirm", "export", "new_address", "take_back", "answer_1", "answer_2", "answer_3")
"""Links that only certain messages have: whoever publishes one says which (`LinkTerms`)."""


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """Which links a message has beside those of every message, and which it must show to everybody.

    where: in words, which messages have which, for the mend.
    """

    has: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    where: str = ""


def problems_as_data(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Problems as JSON-able data, for `extra` of an error."""
    return [asdict(problem) for problem in problems]


def problems_refuse(code: str, problems: Sequence[Problem], what: str) -> None:
    """Raise Invalid with all problems, if there are any."""
    if problems:
        first = "; ".join(str(problem) for problem in problems[:3])
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise Invalid(code, f"{what}: {first}{more}", {"problems": problems_as_data(problems)})


def digest_of(value: object) -> str:
    """SHA-256, in hex, over `value` as canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def block_digest(
    content: object,
    fields: object,
    layout: str,
    text_layout: str,
    *,
    valid_from: datetime | None,
    valid_until: datetime | None,
    written_by_model: bool,
) -> str:
    """What binds a version of a block: all that it says, the fields and layouts it says it in, and its facts.

    Facts that say nothing stay out of it, so that versions made before there were any keep their digest.
    """
    whole: dict[str, object] = {"content": content, "fields": fields, "layout": layout, "text_layout": text_layout}
    for name, moment in (("valid_from", valid_from), ("valid_until", valid_until)):
        if moment is not None:
            whole[name] = moment.astimezone(UTC).isoformat()  # as the database gives it back
    if written_by_model:
        whole["written_by_model"] = True
    return digest_of(whole)


def template_digest(subject: str, mjml: str, text: str, *, arrangement: object, cases: object) -> str:
    """What binds a version of a template: its three sources, and its tests.

    Without tests it is that of the sources alone, as it was before there were any.
    """
    sources: dict[str, object] = {"subject": subject, "mjml": mjml, "text": text}
    return digest_of({**sources, "arrangement": arrangement, "cases": cases} if arrangement or cases else sources)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledSources:
    """A message as three Jinja sources, for one language. Two with one digest are the same.

    tokens: names of the profile values it prints or looks at; links of items go to `link_hosts` or else to
    `shop_url`.
    """

    digest: str
    language: str
    subject: str
    html: str
    text: str
    tokens: tuple[str, ...]
    link_hosts: tuple[str, ...]
    shop_url: str

    @classmethod
    def of(
        cls,
        *,
        language: str,
        subject: str,
        html: str,
        text: str,
        tokens: Sequence[str],
        link_hosts: Sequence[str],
        shop_url: str,
    ) -> "CompiledSources":
        """The sources, with their digest worked out."""
        digest = digest_of(
            {
                "language": language,
                "subject": subject,
                "html": html,
                "text": text,
                "tokens": list(tokens),
                "link_hosts": list(link_hosts),
                "shop_url": shop_url,
            }
        )
        return cls(digest, language, subject, html, text, tuple(tokens), tuple(link_hosts), shop_url)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompiledSources) and self.digest == other.digest


class SharedSlots(dict[str, Any]):
    """The slots of many decisions. Whoever gets them changes nothing of them, so that what they are known by while
    rendering (`key`) is worked out once."""

    __slots__ = ("key",)
    key: tuple[Any, ...]


class Rendered(NamedTuple):
    """One person's message. html_pieces: its HTML, in turns of what many people share and of what is their own."""

    subject: str
    html_pieces: tuple[str, ...]
    text: str

    @property
    def html(self) -> str:
        return "".join(self.html_pieces)
