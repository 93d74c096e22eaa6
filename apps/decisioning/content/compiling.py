"""A template, the blocks of its slots and a brand become three Jinja sources, for one language.

`[[ … ]]` is filled here, once: brand values, block fields (escaped for where they stand), and slots (`slot:NAME`, or
`slot-text:NAME` for the plain text of its blocks where MJML can't stand, as in mj-title). A slot becomes
one `{% if slots.NAME.block == "ID" %}… {% elif … %}… {% else %}(static) {% endif %}`; a branch whose block shows
products also asks for items, so that their loop is never empty. Pure: no database, no clock.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Literal

from apps.foundation.core.text import is_blank

from .contracts import BrandSpec, CompiledSources, Problem
from .fields import Field, language_chain, part_of_value, pieces_of_value, plain_value, values_of
from .labels import label_text
from .mjml import Document
from .pieces import Kind, Piece, SourceRefused, pieces_fill, pieces_read, pieces_strip, source_of
from .plain_text import html_words
from .proof import Proof, proof_of
from .short_messages import SHORT
from .steps import step

Target = Literal["subject", "mjml", "text"]
ADDRESS: Final = "brand.postal_address"
_BRAND_VALUES = frozenset({"name", "from_name", "postal_address", "shop_url"})
_SLOT = "slot:"
_SLOT_TEXT = "slot-text:"
_SLOT_END = "end of slot"
_LABEL = (
    '<mj-section padding="0 24px 16px" css-class="automatic"><mj-column><mj-text font-size="13px" line-height="19px"'
    ' padding="0 8px" color="#55645f" css-class="quiet">{}</mj-text></mj-column></mj-section>'
)
_PLAIN_IN_CODE = frozenset("\"'\\{}[]%#\n\r")


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """The three sources of a template version. channel: that it is written for, of `models.Template.Channel`."""

    name: str
    subject: str
    mjml: str
    text: str
    channel: str = "email"


@dataclass(frozen=True, slots=True)
class BlockSource:
    """A block version: what it says in each language, with the fields and layouts of its type at that time.

    labels: what the customer must read below it, of `labels.LABELS`.
    """

    id: str
    name: str
    fields: tuple[Field, ...]
    content: Mapping[str, Mapping[str, Any]]
    layout: str
    text_layout: str
    labels: tuple[str, ...] = ()

    @property
    def products(self) -> str:
        """The name of its field of kind products, or ""."""
        return next((field.name for field in self.fields if field.kind == "products"), "")


def sources_tidy(*, subject: str, mjml: str, text: str) -> dict[str, str]:
    """The sources in the one way they are kept: lines end in a line feed, nothing blank around them."""
    return {
        "subject": subject.strip(),
        "mjml": mjml.replace("\r\n", "\n").strip(),
        "text": text.replace("\r\n", "\n").strip() + "\n",
    }


Slots = Mapping[str, Sequence[BlockSource]]
"""For each slot the blocks that can stand in it, without repetition, the static one last."""


def slots_named(template: TemplateSource) -> list[str]:
    """The slots that a template names, in order. Raises SourceRefused."""
    names: list[str] = []

    def note(name: str, at: Piece) -> list[Piece]:
        slot = name.removeprefix(_SLOT_TEXT).removeprefix(_SLOT).strip()
        if name.startswith((_SLOT, _SLOT_TEXT)) and slot not in names:
            names.append(slot)
        return []

    for target, source in (("subject", template.subject), ("mjml", template.mjml), ("text", template.text)):
        pieces_fill(pieces_read(source, target), note, lambda name, at: "")
    return names


class Compilation:
    """One template in one language; `problems` grows while it is worked on."""

    def __init__(
        self,
        template: TemplateSource,
        *,
        brand: BrandSpec,
        slots: Slots,
        language: str,
        hosts: Collection[str] | None,
    ) -> None:
        """hosts: those that links may go to; None checks only their form, as before a brand is known."""
        self._template, self._brand, self._slots = template, brand, slots
        self._language, self._hosts = language, hosts
        self.problems: list[Problem] = []
        self.pieces: dict[str, list[Piece]] = {}
        """Of each source as it was filled, with their places; there once it was compiled."""

    def compile(self) -> CompiledSources | None:
        """The compiled sources, or None with `problems`."""
        subject = self._pieces("subject", self._template.subject)
        mjml = self._pieces("mjml", self._template.mjml)
        text = self._pieces("text", self._template.text)
        self.pieces = {"subject": subject, "mjml": mjml, "text": text}
        if self.problems:
            return None
        tokens: set[str] = set()
        readable = True
        for target, pieces in (("subject", subject), ("mjml", mjml), ("text", text)):
            step(target)
            proof = proof_of(pieces, markup=target == "mjml")
            self.problems.extend(proof.problems)
            if target == "subject" and not (proof.shows or proof.problems):
                mend = "may be blank for some people: show something outside of its conditions"
                self.problems.append(Problem(target, 0, "", mend))
            tokens.update(proof.tokens)
            readable &= proof.readable
            if target != "subject" and proof.readable:
                self._needed(target, pieces, proof)
        html = ""
        if readable:
            step("mjml")
            document = Document(mjml, hosts=self._hosts)
            html = document.html()
            self.problems.extend(document.problems)
        if html and not self.problems:
            # What was shown of the MJML must hold for the HTML made from it, in its order.
            step("compiled HTML")
            try:
                proof = proof_of(pieces_read(html, "compiled HTML"), markup=True)
                self.problems.extend(proof.problems)
            except SourceRefused as refused:
                self.problems.append(refused.problem)
        if self.problems:
            return None
        return CompiledSources.of(
            language=self._language,
            subject=source_of(pieces_strip(subject)),
            html=html,
            text=source_of(pieces_strip(text)),
            tokens=sorted(tokens),
            link_hosts=sorted(self._hosts or ()),
            shop_url=self._brand["shop_url"],
        )

    def _needed(self, target: str, pieces: Sequence[Piece], proof: Proof) -> None:
        """What the law asks of each message, shown to everybody: outside of any condition."""
        if proof.followed and "links.unsubscribe" not in proof.always:
            self.problems.append(
                Problem(target, 0, "{{ links.unsubscribe }}", "is missing: put it in, outside of any condition")
            )
        if target == "text" and self._template.channel in SHORT:
            return  # the law asks for the sender's address in letters
        depth = 0
        for piece in pieces:
            if piece.kind is Kind.STATEMENT:
                depth += bool(piece.opens) - bool(piece.closes)
            elif piece.mark == ADDRESS and depth == 0:
                return
        self.problems.append(Problem(target, 0, f"[[ {ADDRESS} ]]", "is missing: put it in, outside of any condition"))

    # --- filling ---

    def _pieces(self, target: Target, source: str) -> list[Piece]:
        def in_data(name: str, at: Piece) -> list[Piece]:
            if name.startswith(_SLOT):
                return self._slot(name.removeprefix(_SLOT).strip(), target, at, words=False)
            if name.startswith(_SLOT_TEXT):
                return self._slot(name.removeprefix(_SLOT_TEXT).strip(), target, at, words=True)
            return self._common(name, at, markup=target == "mjml")

        try:
            filled = pieces_fill(pieces_read(source, target), in_data, self._in_code())
        except SourceRefused as refused:
            self.problems.append(refused.problem)
            return []
        return filled if target == "mjml" else _lines_kept(filled)

    def _common(self, name: str, at: Piece, *, markup: bool) -> list[Piece]:
        """`[[ language ]]` and `[[ brand.x ]]`, which can stand anywhere."""
        value = self._common_value(name)
        if value is None:
            self.problems.append(
                at.problem(
                    "is not known: in a template write slot:NAME, slot-text:NAME, language, brand.name, "
                    "brand.from_name, brand.postal_address, brand.shop_url or brand.colours.NAME; "
                    "in a layout a field of the type too"
                )
            )
            return []
        return [Piece(Kind.DATA, escape(value) if markup else value, at.where, at.line, name)]

    def _common_value(self, name: str) -> str | None:
        if name == "language":
            return self._language
        root, _, key = name.partition(".")
        if root != "brand":
            return None
        if key in _BRAND_VALUES:
            return str(self._brand[key])  # type: ignore[literal-required]  # it is one of its keys
        if key.startswith("colours."):
            return self._brand["colours"].get(key.removeprefix("colours."))
        return None

    def _in_code(self, plain: Mapping[str, str] | None = None) -> Callable[[str, Piece], str]:
        """What fills a bracket inside an output or statement: only text that means nothing to Jinja."""

        def fill(name: str, at: Piece) -> str:
            value = (plain or {}).get(name) or self._common_value(name)
            if value is None:
                raise SourceRefused(at.problem("can't be filled here", token=f"[[ {name} ]]"))
            if _PLAIN_IN_CODE & set(value):
                raise SourceRefused(
                    at.problem("can't stand inside template code: it holds quotes or brackets", token=f"[[ {name} ]]")
                )
            return value

        return fill

    def _slot(self, name: str, target: Target, at: Piece, *, words: bool) -> list[Piece]:
        """A slot's branches. words: the plain text of its blocks, for places where no layout fits."""
        blocks = self._slots.get(name)
        if not blocks:
            self.problems.append(at.problem("has no blocks: give the slot its tiers, a static one last"))
            return []
        end = Piece(Kind.DATA, "", at.where, at.line, _SLOT_END)
        if len(blocks) == 1:
            return [*self._block(blocks[0], name, target, words, ""), end]

        def statement(text: str) -> Piece:
            return Piece(Kind.STATEMENT, f"{{% {text} %}}", at.where, at.line)

        pieces: list[Piece] = []
        for number, block in enumerate(blocks[:-1]):
            test = f'slots.{name}.block == "{block.id}"' + (f" and slots.{name}.items" if block.products else "")
            pieces.append(statement(f"{'elif' if number else 'if'} {test}"))
            pieces.extend(self._block(block, name, target, words, test))
        last = self._block(blocks[-1], name, target, words, "")
        return [*pieces, statement("else"), *last, statement("endif"), end]

    def _block(self, block: BlockSource, slot: str, target: Target, words: bool, test: str) -> list[Piece]:
        """The pieces of a block, where `test` holds."""
        markup = target == "mjml" and not words
        where = f"block {block.name}, {'layout' if markup else 'text layout'}"
        chain = language_chain(self._language, self._brand["default_language"])
        language = next((wanted for wanted in chain if wanted in block.content), None)
        if language is None:
            self.problems.append(Problem(f"block {block.name}", 0, "", f"has no text in {' or '.join(chain)}: add one"))
            return []
        source = block.layout if markup else block.text_layout
        if is_blank(source):
            self.problems.append(Problem(where, 0, "", f"is empty, so it can't stand in slot {slot} of the {target}"))
            return []
        fields = {field.name: field for field in block.fields}
        values = values_of(block.fields, block.content[language], language)
        items = f"slots.{slot}.items"
        parts = {
            f"{name}.{part}": shown
            for name, field in fields.items()
            for part in ("alt", "width", "height")
            if (shown := part_of_value(field, values[name], part)) is not None
        }

        def in_data(name: str, at: Piece) -> list[Piece]:
            if name not in fields:
                part = parts.get(name)
                if part is not None:
                    return [Piece(Kind.DATA, escape(part) if markup else part, at.where, at.line, name)]
                return self._common(name, at, markup=markup)
            if fields[name].kind == "products":
                self.problems.append(at.problem("products are shown by a loop: {% for item in [[ … ]] %}"))
                return []
            return pieces_of_value(fields[name], values[name], at, markup=markup)

        plain = {
            name: items if field.kind == "products" else plain_value(field, values[name])
            for name, field in fields.items()
        }
        try:
            pieces = pieces_strip(pieces_fill(pieces_read(source, where), in_data, self._in_code(plain)))
        except SourceRefused as refused:
            self.problems.append(refused.problem)
            return []
        shown = "".join(
            "x" if piece.kind is Kind.OUTPUT else piece.text for piece in pieces if piece.kind is not Kind.STATEMENT
        )
        if is_blank(html_words(shown) if markup and "<mj-image" not in shown else shown):
            self.problems.append(Problem(where, 0, "", f"({language}) would leave slot {slot} empty: fill its fields"))
        elif not _always_shows(pieces, test or "true", markup=markup):
            mend = f"({language}) may leave slot {slot} empty for some people: show something outside of its conditions"
            self.problems.append(Problem(where, 0, "", mend))
        pieces += self._labels(block, target, words, where)
        if words and target == "mjml":
            return [
                Piece(piece.kind, escape(piece.text), piece.where, piece.line) if piece.kind is Kind.DATA else piece
                for piece in pieces
            ]
        return pieces

    def _labels(self, block: BlockSource, target: Target, words: bool, where: str) -> list[Piece]:
        """The lines by which customers learn that a model chose or wrote a block, below it.

        Where only words can stand (a subject, the line beside it in the inbox) there is no room for them, so a block
        that can stand nowhere else and needs one is refused.
        """
        if target == "subject" or words:
            if block.labels and is_blank(block.layout):
                mend = "needs a label for customers, and a line has no place for one: use a type with a layout"
                self.problems.append(Problem(f"block {block.name}", 0, "", mend))
            return []
        said = [label_text(label, brand=self._brand, language=self._language) for label in block.labels]
        if target == "text":
            return [Piece(Kind.DATA, f"\n({text})\n", where, 0) for text in said]
        return [Piece(Kind.DATA, _LABEL.format(escape(text)), where, 0) for text in said]


def message_compiled(
    template: TemplateSource, *, brand: BrandSpec, slots: Slots, language: str, hosts: Collection[str] | None
) -> tuple[CompiledSources | None, list[Problem]]:
    """A template with its blocks in one language, compiled, or None with what is wrong. hosts: see Compilation."""
    work = Compilation(template, brand=brand, slots=slots, language=language, hosts=hosts)
    return work.compile(), work.problems


def _always_shows(pieces: Sequence[Piece], test: str, *, markup: bool) -> bool:
    """Whether something of these pieces can be seen on every path, where `test` holds; if so is for the proof of all
    where something is wrong with them.
    """
    if all(piece.kind is not Kind.STATEMENT for piece in pieces):
        return True  # it was looked at as a whole
    before = Piece(Kind.STATEMENT, f"{{% if {test} %}}", "", 0)
    behind = Piece(Kind.STATEMENT, "{% endif %}", "", 0)
    otherwise = [Piece(Kind.STATEMENT, "{% else %}", "", 0), Piece(Kind.DATA, "shown", "", 0)]
    proof = proof_of([before, *pieces, *otherwise, behind], markup=markup)
    return proof.prints or bool(proof.problems)


def _lines_kept(pieces: Sequence[Piece]) -> list[Piece]:
    """In plain text Jinja drops the line break behind a statement; the one behind a slot is the template's own."""
    kept: list[Piece] = []
    last: Piece | None = None
    slot_ended = False
    for piece in pieces:
        if piece.mark == _SLOT_END:
            slot_ended = last is not None and last.kind is Kind.STATEMENT
            continue
        if slot_ended and piece.kind is Kind.DATA and piece.text.startswith("\n"):
            piece = Piece(piece.kind, "\n" + piece.text, piece.where, piece.line, piece.mark)
        slot_ended = False
        kept.append(piece)
        last = piece
    return kept
