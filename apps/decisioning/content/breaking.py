"""Which blocks a changed type would break: said before it happens.

A block is broken when what its newest version says doesn't fit the type any more, so that it can't be saved again as it
is. Nothing that was published changes: versions carry the fields and layouts that they were made with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from .checking import block_problems
from .children import apart
from .compiling import BlockSource
from .contracts import digest_of
from .fields import Field, fields_read
from .models import BlockType, BlockVersion
from .values import value_is_empty, value_problems

MAX_TRIED: Final = 40
"""Looks (a block in a language) that are compiled with a new layout; the rest is told as not tried."""


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that would be broken. field: its label, "" for the block as a whole in that language."""

    block_id: int
    block: str
    language: str
    field: str
    why: str


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change of a type would break. untried: looks that were not compiled, because there are too many."""

    breaks: tuple[Break, ...]
    untried: int = 0

    @property
    def blocks(self) -> int:
        """How many blocks would be broken."""
        return len({one.block_id for one in self.breaks})

    def digest(self, values: Mapping[str, Any]) -> str:
        """What somebody confirms: these breaks, by this change."""
        return digest_of({"values": dict(values), "breaks": [asdict(one) for one in self.breaks]})


def type_impact(before: BlockType, *, fields: Any, layout: str, text_layout: str) -> Impact:
    """What the change of a type from how it is stored to these fields and layouts would break."""
    if (fields, layout, text_layout) == (before.fields, before.layout, before.text_layout):
        return Impact(())
    old, new = fields_read(before.fields, []), fields_read(fields, [])
    breaks: list[Break] = []
    looks: list[tuple[BlockVersion, str]] = []
    newest = (
        BlockVersion.objects.filter(block__type=before)
        .select_related("block")
        .order_by("block__name", "block_id", "-number")
        .distinct("block__name", "block_id")
    )
    for version in newest:
        for language, values in version.content.items():
            known = {(found.field, found.why) for found in _content_breaks(version, language, values, old)}
            found = [
                one for one in _content_breaks(version, language, values, new) if (one.field, one.why) not in known
            ]
            breaks.extend(found)
            if not found:
                looks.append((version, language))
    for version, language in looks[:MAX_TRIED]:
        source = BlockSource("1", version.block.name, tuple(new), _kept(version, new), layout, text_layout)
        faults = apart(block_problems, source, language=language)
        if faults:
            breaks.append(Break(version.block_id, version.block.name, language, "", str(faults[0])))
    return Impact(tuple(breaks), max(0, len(looks) - MAX_TRIED))


def _content_breaks(
    version: BlockVersion, language: str, values: Mapping[str, Any], fields: Sequence[Field]
) -> list[Break]:
    by_name = {field.name: field for field in fields}
    written = {field.name: field for field in fields_read(version.fields, []) if not field.fixed}
    breaks = []

    def broken(label: str, why: str) -> None:
        breaks.append(Break(version.block_id, version.block.name, language, label, why))

    for name, was in written.items():
        if was.kind == "products" or value_is_empty(was, values.get(name)):
            continue
        if name not in by_name:
            broken(was.label, "what it says here would be gone: the type has no such field any more")
        elif by_name[name].fixed:
            broken(was.label, "what it says here would be gone: the type sets the value")
    for field in fields:
        if not field.fixed:
            for problem in value_problems(field, values.get(field.name), "", language):
                broken(field.label, f"{problem.token} {problem.mend}".strip())
    return breaks


def _kept(version: BlockVersion, fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    """What a version says, without what the fields have no place for."""
    flexible = {field.name for field in fields if not field.fixed}
    return {
        language: {name: value for name, value in values.items() if name in flexible}
        for language, values in version.content.items()
    }
