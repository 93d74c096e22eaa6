"""A folder of content as a team keeps it in git: read and written. Pure but for its files.

    brands/CODE.yaml                 markets/CODE.yaml
    block_types/CODE.yaml, CODE.mjml, CODE.txt
    blocks/….yaml                    the name stands in the file
    templates/CODE/template.yaml, subject.txt, body.mjml, body.txt, NAME.case.yaml

Each object has one spelling (`Entry.data`), whether it comes from files or from the database: two are the same if
their digests are. Files that say the same in other words are left as they are, comments and all.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .case_files import ENDING, case_file_read, case_files, case_name
from .case_runs import Suite
from .cases import Arrangement, Case, Reader, arrangement_data, arrangement_read, case_data
from .compiling import BlockSource, TemplateSource, sources_tidy
from .contracts import BrandSpec, Problem, digest_of
from .fields import fields_read
from .notation import MAX_FILE, Reading, yaml_read, yaml_write
from .pieces import SourceRefused
from .short_messages import EMAIL, SHORT

KINDS: Final = ("brands", "markets", "block_types", "blocks", "templates")
"""The folders, in the order in which what refers to another comes after it."""
SOURCES: Final = {"subject": "subject.txt", "mjml": "body.mjml", "text": "body.txt"}
_BRAND = (
    "name", "from_name", "from_email", "reply_to", "postal_address", "shop_url", "link_hosts", "colours",
    "default_language",
)  # fmt: skip
_FIELD = ("name", "label", "kind", "fixed", "value", "required", "max_length", "choices", "help")
_BLOCK = ("name", "type", "tier", "tags", "market", "valid_from", "valid_until", "written_by_model", "content")
_CODE = re.compile(r"[-a-zA-Z0-9_]{1,60}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. data: what it is, in its one spelling; file: its main file; readings: its files with their lines."""

    kind: str
    key: str
    data: dict[str, Any]
    file: str
    arrangement: Arrangement = field(default_factory=Arrangement)
    cases: tuple[Case, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    offsets: Mapping[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What it is called in the lock file: `blocks/Hero: everybody`."""
        return f"{self.kind}/{self.key}"

    @property
    def digest(self) -> str:
        """Of what it is, not of how its files spell it."""
        return digest_of(self.data)

    def files(self) -> dict[str, str]:
        """Its files, by path, as they are written."""
        data = dict(self.data)
        if self.kind == "block_types":
            stem = self.file.removesuffix(".yaml")
            layouts = {f"{stem}.mjml": data.pop("layout"), f"{stem}.txt": data.pop("text_layout")}
            return {self.file: yaml_write(data)} | {path: f"{text}\n" for path, text in layouts.items() if text}
        if self.kind == "templates":
            folder = self.file.rpartition("/")[0]
            channel = {"channel": data["channel"]} if "channel" in data else {}
            about = {"name": data["name"], **channel, **data["arrangement"]}
            sources = {f"{folder}/{file}": f"{data[name].rstrip()}\n" for name, file in SOURCES.items()}
            cases = {f"{folder}/{name}{ENDING}": yaml_write(case) for name, case in data["cases"].items()}
            return {self.file: yaml_write(about), **sources, **cases}
        return {self.file: yaml_write(data)}

    def place(self, problem: Problem) -> Problem:
        """A problem told by a service, at its file and line."""
        where, line = problem.where, problem.line
        if where in self.readings:  # it has its place already
            return problem
        words = [part.strip() for part in where.split(",")]
        path: tuple[str | int, ...] = ()
        file = self.file
        if self.kind == "templates":
            folder = self.file.rpartition("/")[0]
            if words[0] in SOURCES:
                return self._in(
                    f"{folder}/{SOURCES[words[0]]}", line + self.offsets.get(words[0], 0) if line else 0, problem
                )
            if where.startswith("case "):
                file = f"{folder}/{where.removeprefix('case ')}{ENDING}"
            elif where.startswith("slot "):
                path = ("slots", where.removeprefix("slot "))
        elif self.kind == "block_types":
            stem = self.file.removesuffix(".yaml")
            if words[-1] in ("layout", "text layout"):
                ending = "mjml" if words[-1] == "layout" else "txt"
                return self._in(f"{stem}.{ending}", line, problem)
            found = re.match(r"field (\d+)", where)
            path = ("fields", int(found[1]) - 1) if found else (words[0],)
        elif self.kind == "blocks" and len(words) > 1:
            path = ("content", words[1])
            inner = next((name for name in (problem.token, *words[2:]) if self._lines(file, (*path, name))), None)
            path = (*path, inner) if inner else path
        elif self.kind != "blocks":
            path = (words[0],)
        reading = self.readings.get(file)
        return self._in(file, reading.line(path) if reading is not None else 0, problem)

    def _lines(self, file: str, path: tuple[str | int, ...]) -> bool:
        return file in self.readings and path in self.readings[file].lines

    @staticmethod
    def _in(file: str, line: int, problem: Problem) -> Problem:
        told = problem.where in SOURCES or problem.where == file or re.match(r"field \d|case ", problem.where)
        known = "" if told else problem.where
        return Problem(file, line, problem.token, f"{known}: {problem.mend}" if known else problem.mend)


@dataclass(frozen=True, slots=True)
class Folder:
    """All of a folder. problems: what could not be read; those objects are missing in `entries`."""

    root: Path
    entries: Mapping[str, Entry]
    problems: Sequence[Problem]

    def suite(self, code: str) -> tuple[Suite, list[Problem]]:
        """A template with its cases and blocks, and what is missing for them."""
        entry = self.entries[f"templates/{code}"]
        problems: list[Problem] = []
        brand = self.entries.get(f"brands/{entry.arrangement.brand}") if entry.arrangement.brand else None
        if entry.arrangement.brand and brand is None:
            line = entry.readings[entry.file].line(("brand",))
            problems.append(Problem(entry.file, line, entry.arrangement.brand, "is no brand of this folder"))
        wanted = {tier.block for tiers in entry.arrangement.slots.values() for tier in tiers}
        blocks = {name: source for name in sorted(wanted) if (source := self.block(name)) is not None}
        for slot, tiers in entry.arrangement.slots.items():
            for number, tier in enumerate(tiers):
                if tier.block not in blocks:
                    line = entry.readings[entry.file].line(("slots", slot, number, "block"))
                    problems.append(Problem(entry.file, line, tier.block, "is no block of this folder"))
        sources = {name: entry.data[name] for name in SOURCES}
        suite = Suite(
            template=TemplateSource(entry.data["name"], **sources, channel=entry.data.get("channel", EMAIL)),
            brand=brand_spec_of(brand) if brand is not None else None,
            arrangement=entry.arrangement,
            blocks=blocks,
            cases=entry.cases,
        )
        return suite, problems

    def block(self, name: str) -> BlockSource | None:
        """A block with its type's fields and layouts; None if either is not there."""
        entry = self.entries.get(f"blocks/{name}")
        kind = self.entries.get(f"block_types/{entry.data['type']}") if entry is not None else None
        if entry is None or kind is None:
            return None
        fields = tuple(fields_read(kind.data["fields"], []))
        return BlockSource("0", name, fields, entry.data["content"], kind.data["layout"], kind.data["text_layout"])


# --- one spelling for each kind ---


def brand_entry(code: str, values: Mapping[str, Any], **more: Any) -> Entry:
    """values: the fields of a brand."""
    data = {name: values[name] for name in _BRAND}
    data["colours"] = dict(sorted(data["colours"].items()))
    if values.get("labels"):
        data["labels"] = _sorted(values["labels"])
    return Entry("brands", code, data, f"brands/{code}.yaml", **more)


def brand_spec_of(entry: Entry) -> BrandSpec:
    """A brand of a folder, as messages are compiled with it."""
    return {"code": entry.key, **entry.data}  # type: ignore[typeddict-item]  # brand_entry sees to its keys


def market_entry(code: str, values: Mapping[str, Any], **more: Any) -> Entry:
    """values: name and languages."""
    data = {"name": values["name"], "languages": list(values["languages"])}
    return Entry("markets", code, data, f"markets/{code}.yaml", **more)


def block_type_entry(code: str, values: Mapping[str, Any], **more: Any) -> Entry:
    """values: the fields of a block type; layouts without blank lines around them."""
    declared = [
        {key: _sorted(one[key]) for key in (*_FIELD, *sorted(set(one) - set(_FIELD))) if key in one}
        if isinstance(one, dict)
        else one
        for one in values["fields"]
    ]
    data = {
        "name": values["name"],
        "description": values["description"],
        "fields": declared,
        "layout": _layout(values["layout"]),
        "text_layout": _layout(values["text_layout"]),
    }
    return Entry("block_types", code, data, f"block_types/{code}.yaml", **more)


def block_entry(name: str, values: Mapping[str, Any], *, file: str = "", **more: Any) -> Entry:
    """values: type (its code), tier, tags, market (its code or ""), content by language; valid_from, valid_until
    (ISO 8601) and written_by_model where they say something.
    """
    data = {"name": name, "type": values["type"], "tier": values["tier"], "tags": list(values["tags"])}
    if values["market"]:
        data["market"] = values["market"]
    for fact in ("valid_from", "valid_until"):
        if values.get(fact):
            data[fact] = values[fact]
    if values.get("written_by_model"):
        data["written_by_model"] = True
    data["content"] = _sorted(values["content"])
    return Entry("blocks", name, data, file or f"blocks/{file_stem(name)}.yaml", **more)


def template_entry(
    code: str,
    *,
    name: str,
    sources: Mapping[str, str],
    arrangement: Arrangement,
    cases: Sequence[Case],
    slots: Sequence[str] = (),
    channel: str = EMAIL,
    **more: Any,
) -> Entry:
    """slots: the template's, for the order in which the arrangement is written; channel: told where it is no e-mail."""
    arranged = arrangement_data(arrangement)
    if "slots" in arranged:
        order = {slot: number for number, slot in enumerate(slots)}
        arranged["slots"] = dict(
            sorted(arranged["slots"].items(), key=lambda item: (order.get(item[0], len(order)), item[0]))
        )
    listed = sorted(cases, key=lambda case: case.name)
    data = {
        "name": name,
        "arrangement": arranged,
        "cases": {case.name: case_data(case) for case in listed},
        **sources_tidy(subject=sources["subject"], mjml=sources["mjml"], text=sources["text"]),
        **({"channel": channel} if channel != EMAIL else {}),
    }
    file = f"templates/{code}/template.yaml"
    return Entry("templates", code, data, file, arrangement=arrangement, cases=tuple(listed), **more)


def _layout(text: str) -> str:
    return text.replace("\r\n", "\n").strip("\n")


def _sorted(value: Any) -> Any:
    """Mappings in the order of their keys: the database keeps none."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def file_stem(name: str) -> str:
    """A name as the name of a file; where two come out alike, the second gets a piece of its digest."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80] or digest_of(name)[:12]


# --- reading ---


def folder_read(root: Path) -> Folder:
    """Read a folder. Nothing is checked but its form; see `folder_tests.py`. Raises NotADirectoryError."""
    if not root.is_dir():
        raise NotADirectoryError(str(root))
    work = _FolderReader(root)
    for file in work.yamls("brands"):
        work.simple(file, "brands", _BRAND, brand_entry)
    for file in work.yamls("markets"):
        work.simple(file, "markets", ("name", "languages"), market_entry)
    for file in work.yamls("block_types"):
        work.block_type(file)
    for file in work.yamls("blocks"):
        work.block(file)
    for folder in sorted(root.glob("templates/*/")):
        work.template(folder)
    return Folder(root, work.entries, work.problems)


class _FolderReader:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[str, Entry] = {}
        self.problems: list[Problem] = []

    def yamls(self, kind: str) -> list[Path]:
        return sorted((self.root / kind).glob("*.yaml"))

    def where(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()

    def wrong(self, file: Path, mend: str) -> None:
        self.problems.append(Problem(self.where(file), 0, "", mend))

    def text(self, file: Path) -> str | None:
        """A file's text; "" if there is none. None, with a problem, if it can't be read."""
        if not file.exists():
            return ""
        if file.stat().st_size > MAX_FILE:
            self.wrong(file, f"is over {MAX_FILE // 1024} kB: shorten it")
            return None
        try:
            return file.read_text("utf-8")
        except UnicodeDecodeError:
            self.wrong(file, "is not UTF-8")
            return None

    def reading(self, file: Path) -> Reader | None:
        text = self.text(file)
        if text is None:
            return None
        try:
            reader = Reader(yaml_read(text, self.where(file)))
        except SourceRefused as refused:
            self.problems.append(refused.problem)
            return None
        if not isinstance(reader.reading.data, dict):
            reader.wrong((), "must be keys with values")
            self.problems.extend(reader.problems)
            return None
        return reader

    def done(self, entry: Entry | None, *readers: Reader) -> None:
        problems = [problem for reader in readers for problem in reader.problems]
        self.problems.extend(problems)
        if entry is None or problems:
            return
        if entry.label in self.entries:
            other = self.entries[entry.label].file
            self.problems.append(Problem(entry.file, 0, entry.key, f"is in {other} already: name it otherwise"))
            return
        self.entries[entry.label] = entry

    def code(self, stem: str, reader: Reader) -> str:
        if not _CODE.fullmatch(stem):
            reader.wrong((), "its file must be named by a code: letters, digits, - and _")
        return stem

    def simple(self, file: Path, kind: str, keys: Sequence[str], make: Any) -> None:
        reader = self.reading(file)
        if reader is None:
            return
        given = reader.mapping(reader.reading.data, (), (*keys, "labels") if kind == "brands" else keys)
        labels = reader.mapping(given.get("labels"), ("labels",))
        values: dict[str, Any] = {
            "labels": {name: dict(reader.mapping(words, ("labels", name))) for name, words in labels.items()}
        }
        for key in keys:
            if key in ("link_hosts", "languages"):
                listed = reader.listed(given.get(key), (key,))
                values[key] = [reader.text(one, (key, number)) for number, one in enumerate(listed)]
            elif key == "colours":
                colours = reader.mapping(given.get(key), (key,))
                values[key] = {name: reader.text(colour, (key, name), longest=20) for name, colour in colours.items()}
            else:
                values[key] = reader.text(given.get(key), (key,), longest=500)
                if not values[key] and key != "reply_to":
                    reader.wrong((key,), "is needed")
        code = self.code(file.stem, reader)
        self.done(make(code, values, readings={self.where(file): reader.reading}), reader)

    def block_type(self, file: Path) -> None:
        reader = self.reading(file)
        layouts = [self.text(file.with_suffix(ending)) for ending in (".mjml", ".txt")]
        if reader is None or layouts[0] is None or layouts[1] is None:
            return
        given = reader.mapping(reader.reading.data, (), ("name", "description", "fields"))
        values = {
            "name": reader.text(given.get("name"), ("name",), longest=120),
            "description": reader.text(given.get("description"), ("description",), longest=2000),
            "fields": reader.listed(given.get("fields"), ("fields",)),
            "layout": layouts[0],
            "text_layout": layouts[1],
        }
        if not values["name"]:
            reader.wrong(("name",), "is needed")
        code = self.code(file.stem, reader)
        self.done(block_type_entry(code, values, readings={self.where(file): reader.reading}), reader)

    def block(self, file: Path) -> None:
        reader = self.reading(file)
        if reader is None:
            return
        given = reader.mapping(reader.reading.data, (), _BLOCK)
        tags = reader.listed(given.get("tags"), ("tags",))
        content = reader.mapping(given.get("content"), ("content",))
        values = {
            "type": reader.text(given.get("type"), ("type",), longest=40),
            "tier": reader.text(given.get("tier"), ("tier",), of=("foundation", "campaign", "personal")) or "campaign",
            "tags": [reader.text(tag, ("tags", number), longest=40) for number, tag in enumerate(tags)],
            "market": reader.text(given.get("market"), ("market",), longest=40),
            "valid_from": reader.moment(given.get("valid_from"), ("valid_from",)),
            "valid_until": reader.moment(given.get("valid_until"), ("valid_until",)),
            "written_by_model": given.get("written_by_model") is True,
            "content": {
                language: dict(reader.mapping(values, ("content", language))) for language, values in content.items()
            },
        }
        name = reader.text(given.get("name"), ("name",), longest=120).strip()
        for key, value in (("name", name), ("type", values["type"]), ("content", content)):
            if not value:
                reader.wrong((key,), "is needed")
        where = self.where(file)
        self.done(block_entry(name, values, file=where, readings={where: reader.reading}), reader)

    def template(self, folder: Path) -> None:
        for file in sorted(folder.glob("*.y*ml")):
            if file.name != "template.yaml" and not file.name.endswith(ENDING):
                self.wrong(file, f"is neither template.yaml nor a case: cases end in {ENDING}")
        reader = self.reading(folder / "template.yaml")
        sources = {name: self.text(folder / file) for name, file in SOURCES.items()}
        if reader is None or None in sources.values():
            return
        given = reader.mapping(reader.reading.data, (), ("name", "channel", "brand", "slots"))
        name = reader.text(given.get("name"), ("name",), longest=120)
        if not name:
            reader.wrong(("name",), "is needed")
        channel = given.get("channel", EMAIL)
        if channel != EMAIL and channel not in SHORT:
            reader.wrong(("channel",), f"is one of {', '.join((EMAIL, *sorted(SHORT)))}")
        arrangement, problems = arrangement_read(reader.reading)
        reader.problems.extend(problems)
        readings = {self.where(folder / "template.yaml"): reader.reading}
        cases: list[Case] = []
        for file in case_files(folder):
            if not _CODE.fullmatch(case_name(file)):
                self.wrong(file, "name a case by letters, digits, - and _")
            case, reading, wrong = case_file_read(file, self.where(file), arrangement if not problems else None)
            reader.problems.extend(wrong)
            if reading is not None:
                readings[self.where(file)] = reading
            if case is not None:
                cases.append(case)
        tidy = {key: (text or "").replace("\r\n", "\n") for key, text in sources.items()}
        offsets = {key: len(text[: len(text) - len(text.lstrip())].splitlines()) for key, text in tidy.items()}
        code = self.code(folder.name, reader)
        entry = template_entry(
            code,
            name=name,
            sources=tidy,
            arrangement=arrangement,
            cases=cases,
            channel=str(channel),
            readings=readings,
            offsets=offsets,
        )
        self.done(entry, reader)


# --- writing ---


def entry_write(root: Path, entry: Entry, before: Entry | None) -> None:
    """Write an object's files, and remove those that it no longer has. Files of `before` that say the same stay."""
    old = before.files() if before is not None else {}
    new = entry.files()
    for path, text in new.items():
        file = root / path
        if old.get(path) == text and file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="\n")
    for path in old.keys() - new.keys():
        (root / path).unlink(missing_ok=True)
