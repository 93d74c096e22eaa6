"""What of a person's collected messages a digest shows: each is asked anew, as if it were to go out now.

Consent, pause and topic, suppression, the cap of its playbook, its run, the validity of its blocks, and that what it
offers is still there. What passes becomes a card: the subject that it would have had, a line of what its leading slot
shows, and where that leads. Triggered messages come before campaigns, then the newest.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from apps.data.catalog.models import Item
from apps.data.consent.selectors import gate_read, withdrawn_read
from apps.data.profiles.vault import Erased, Tampered, Vault, vault_open
from apps.decisioning.content.choosing import PERSONAL, PERSONALISATION, Validity
from apps.decisioning.content.contracts import CHOSEN_MARK, TierSpec, tier_block
from apps.decisioning.content.errors import RenderError
from apps.decisioning.content.models import BlockVersion
from apps.decisioning.content.rendering import render_subject
from apps.decisioning.content.selectors import compiled_load
from apps.decisioning.content.values import image_value
from apps.decisioning.playbooks.contracts import PlaybookSpec
from apps.decisioning.playbooks.models import Run
from apps.decisioning.playbooks.rules import leading_slot
from apps.decisioning.playbooks.steps import message_spec
from apps.foundation.core.errors import NotFound
from apps.foundation.core.text import is_blank

from .engine import FREQUENCY_CAP
from .models import Decision
from .registry import message_counters, run_holds
from .sealing import decision_open

CANCELLED: Final = "cancelled"
FULL: Final = "digest_full"
LATE: Final = "too_late"
OUT_OF_DATE: Final = "out_of_date"
WITHDRAWN: Final = "withdrawn"
UNREADABLE: Final = "unreadable"
_TRIGGERED: Final = ("triggered", "transactional")
_LINE: Final = 160
"""Characters of the line about a piece."""
_LINKS: Final = {"unsubscribe": "https://links.invalid/u", "preferences": "https://links.invalid/p"}
"""Stand in where only the subject is made, in which no link can be."""

_PIECES: Final = """
SELECT piece.decision_id, piece.profile_id, piece.good_until, piece.kept_at
FROM decisions_digestpiece AS piece
WHERE piece.state = 'kept' AND piece.profile_id = ANY(%s)
ORDER BY piece.decision_id FOR UPDATE OF piece
"""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a digest shows of one person's pieces. cards: as templates take items; shown, left: ids of decisions, the
    latter with why."""

    cards: list[dict[str, Any]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    left: list[list[str]] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """As the digest's reasons keep it."""
        return {"shown": self.shown, "left": self.left}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece with its decision and what its version says of its message."""

    decision: Decision
    spec: PlaybookSpec
    good_until: datetime
    kept_at: datetime
    inputs: Mapping[str, Any]

    @property
    def rank(self) -> tuple[bool, float, int]:
        """Small for what comes first."""
        return (
            self.spec["budget"] not in _TRIGGERED,
            -self.kept_at.timestamp(),
            -self.decision.pk.int,
        )


def pieces_weigh(cursor: CursorWrapper, *, profile_ids: Sequence[int], at: datetime, most: int) -> dict[int, Weighed]:
    """Weigh what is kept for these people, and hold it until the caller's transaction ends.

    most: of what the digest's slot shows; DIGEST_PIECES may be fewer. A piece of a run that is paused stays where it
    is, for the next digest.
    """
    cursor.execute(_PIECES, [list(profile_ids)])
    rows = {row[0]: row[1:] for row in cursor.fetchall()}
    found = {profile_id: Weighed() for profile_id in profile_ids}
    decisions = Decision.objects.select_related("run__version").in_bulk(list(rows))
    vault = vault_open(profile_ids)
    pieces: list[_Piece] = []
    for decision_id, (profile_id, good_until, kept_at) in rows.items():
        decision = decisions[decision_id]
        inputs = _inputs(vault, decision)
        if inputs is None:
            found[profile_id].left.append([str(decision_id), UNREADABLE])
            continue
        spec = message_spec(decision.run.version.spec, decision.run.step)
        pieces.append(_Piece(decision, spec, good_until, kept_at, inputs))
    held = _held({piece.decision.run_id for piece in pieces})
    pieces = [piece for piece in pieces if piece.decision.run_id not in held]
    gates = _gates(pieces, at)
    caps = _caps(pieces, at)
    impersonal = _impersonal(pieces)
    goods = _goods_there(pieces)
    blocks = _blocks_of(pieces)
    by_person: defaultdict[int, list[_Piece]] = defaultdict(list)
    for piece in pieces:
        why = _left_because(piece, at, gates, caps) or (WITHDRAWN if piece.decision.pk in impersonal else "")
        if why:
            found[piece.decision.profile_id].left.append([str(piece.decision.pk), why])
        else:
            by_person[piece.decision.profile_id].append(piece)
    for profile_id, own in by_person.items():
        weighed = found[profile_id]
        for piece in sorted(own, key=lambda one: one.rank):
            card = _card(piece, goods, blocks)
            if card is None:
                weighed.left.append([str(piece.decision.pk), OUT_OF_DATE])
            elif len(weighed.cards) >= min(most, settings.DIGEST_PIECES):
                weighed.left.append([str(piece.decision.pk), FULL])
            else:
                weighed.cards.append(card)
                weighed.shown.append(str(piece.decision.pk))
    return found


def _inputs(vault: Vault, decision: Decision) -> Mapping[str, Any] | None:
    try:
        kept = decision_open(
            vault, decision_id=decision.pk, profile_id=decision.profile_id, sealed=bytes(decision.sealed)
        )
    except (Erased, Tampered):
        return None
    return kept.inputs


def _held(run_ids: set[int]) -> set[int]:
    """Runs that somebody paused."""
    return set().union(*(hold(run_ids=sorted(run_ids)) for hold in run_holds)) if run_ids else set()


_Gates = Mapping[tuple[str, str, str], Mapping[int, str]]


def _gates(pieces: Sequence[_Piece], at: datetime) -> _Gates:
    """Why each person may not get what each piece is about: by purpose, channel and topic, then by person."""
    groups: defaultdict[tuple[str, str, str], set[int]] = defaultdict(set)
    for piece in pieces:
        groups[_terms(piece)].add(piece.decision.profile_id)
    return {
        terms: {
            profile_id: answer.reason
            for profile_id, answer in gate_read(
                profile_ids=sorted(people), purpose=terms[0], channel=terms[1], topic=terms[2], at=at
            ).items()
        }
        for terms, people in groups.items()
    }


def _terms(piece: _Piece) -> tuple[str, str, str]:
    return piece.spec["purpose"], piece.spec["channel"], piece.spec.get("topic", "")


def _impersonal(pieces: Sequence[_Piece]) -> set[UUID]:
    """Pieces that were chosen by what their people did, who do not want that any more."""
    groups: defaultdict[str, set[int]] = defaultdict(set)
    chosen = [piece for piece in pieces if any(slot.get("tier") in PERSONAL for slot in _slots(piece).values())]
    for piece in chosen:
        groups[piece.spec["channel"]].add(piece.decision.profile_id)
    out = {
        (channel, profile_id)
        for channel, people in groups.items()
        for profile_id in withdrawn_read(profile_ids=sorted(people), purpose=PERSONALISATION, channel=channel)
    }
    return {piece.decision.pk for piece in chosen if (piece.spec["channel"], piece.decision.profile_id) in out}


def _slots(piece: _Piece) -> Mapping[str, Mapping[str, Any]]:
    slots: Mapping[str, Mapping[str, Any]] = piece.inputs.get("slots", {})
    return slots


def _caps(pieces: Sequence[_Piece], at: datetime) -> Mapping[tuple[str, int], Mapping[int, int]]:
    """How many messages people got, by purpose and days of a cap, then by person."""
    groups: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for piece in pieces:
        if (cap := piece.spec["cap"]) is not None:
            groups[piece.spec["purpose"], cap["days"]].add(piece.decision.profile_id)
    found: dict[tuple[str, int], dict[int, int]] = {}
    for (purpose, days), people in groups.items():
        counts = found.setdefault((purpose, days), {})
        for counter in message_counters:
            got = counter(profile_ids=sorted(people), purpose=purpose, since=at - timedelta(days=days))
            for profile_id, count in got.items():
                counts[profile_id] = counts.get(profile_id, 0) + count
    return found


def _left_because(piece: _Piece, at: datetime, gates: _Gates, caps: Mapping[tuple[str, int], Mapping[int, int]]) -> str:
    """Why a piece is left out, "" for one that may be shown."""
    profile_id = piece.decision.profile_id
    if piece.good_until < at:
        return LATE
    if piece.decision.run.state == Run.State.CANCELLED:
        return CANCELLED
    if why := gates[_terms(piece)].get(profile_id, "no_consent"):
        return why
    cap = piece.spec["cap"]
    if cap is not None and caps[piece.spec["purpose"], cap["days"]].get(profile_id, 0) >= cap["count"]:
        return FREQUENCY_CAP
    return OUT_OF_DATE if _is_over(piece, at) else ""


def _is_over(piece: _Piece, at: datetime) -> bool:
    """Whether a block that it was decided with may not be shown any more."""
    for slot, chosen in _slots(piece).items():
        tier = _tier_of(piece.spec, slot, chosen)
        valid = Validity.of(tier) if tier is not None else None
        if valid is not None and valid.fault(at):
            return True
    return False


def _tier_of(spec: PlaybookSpec, slot: str, chosen: Mapping[str, Any]) -> TierSpec | None:
    return next((tier for tier in spec["slots"].get(slot, ()) if tier_block(tier) == chosen["block"]), None)


def _leading(piece: _Piece) -> Mapping[str, Any]:
    """What its leading slot shows."""
    return _slots(piece).get(leading_slot(piece.spec), {}) if piece.spec["slots"] else {}


def _goods_there(pieces: Sequence[_Piece]) -> Mapping[str, bool]:
    """Whether the items that pieces offer can be shown still, by number."""
    wanted = {item["sku"] for piece in pieces for item in _leading(piece).get("items", ())}
    rows = Item.objects.filter(sku__in=wanted).values_list("sku", "in_stock", "recommendable")
    return {sku: in_stock and recommendable for sku, in_stock, recommendable in rows}


def _blocks_of(pieces: Sequence[_Piece]) -> Mapping[str, BlockVersion]:
    """The versions of the blocks in their leading slots, as decisions name them, with their types' fields."""
    named = {str(_leading(piece).get("block", "")) for piece in pieces}
    ids = {name: int(number) for name in named if (number := name.removesuffix(CHOSEN_MARK)).isdecimal()}
    versions = BlockVersion.objects.in_bulk(list(set(ids.values())))
    return {name: versions[pk] for name, pk in ids.items() if pk in versions}


def _card(piece: _Piece, goods: Mapping[str, bool], blocks: Mapping[str, BlockVersion]) -> dict[str, Any] | None:
    """A piece as an item of the digest; None where nothing of what it offers is there any more."""
    leading = _leading(piece)
    offered = leading.get("items", ())
    items = [item for item in offered if goods.get(item["sku"], False)]
    if offered and not items:
        return None
    try:
        title = render_subject(compiled_load(piece.decision.compiled_id or 0), {**piece.inputs, "links": _LINKS})
    except (NotFound, RenderError):
        return None
    said = _said(blocks.get(str(leading.get("block", ""))), piece)
    line = " · ".join(item["title"] for item in items) if items else said.get("text", "")
    first = items[0] if items else {}
    return {
        "sku": "",
        "title": title,
        "price": "",
        "text": "" if line == title else _cut(line),
        "url": first.get("url") or said.get("url", ""),
        "image_url": first.get("image_url") or said.get("image_url", ""),
    }


def _cut(line: str) -> str:
    return line if len(line) <= _LINE else f"{line[: _LINE - 1].rstrip()}…"


def _said(version: BlockVersion | None, piece: _Piece) -> dict[str, str]:
    """What a block says in the message's language: its first text, link and picture."""
    if version is None:
        return {}
    content: Mapping[str, Mapping[str, Any]] = version.content
    language = piece.inputs.get("language", "")
    own = next(
        (
            content[code]
            for code in (language, language.partition("-")[0], piece.spec["brand"]["default_language"])
            if code in content
        ),
        {},
    )
    found: dict[str, str] = {}
    for one in version.fields:
        value = one.get("value") if one.get("fixed") and one["kind"] != "text" else own.get(one["name"])
        if one["kind"] == "text" and isinstance(value, str) and not is_blank(value):
            found.setdefault("text", value)
        elif one["kind"] == "link" and isinstance(value, str):
            found.setdefault("url", value)
        elif one["kind"] == "image" and value:
            found.setdefault("image_url", image_value(value)["url"])
    return found
