"""YAML as content files write it: strict, each value with its line, and written in one way only. Pure.

Strict: no anchors or aliases, no tags, no key twice; a boolean is `true` or `false` and nothing else, so that `NO` is
Norway and `no` its language; a date stays the text that it is. Written: keys in the order given, long lines unfolded,
so that a change of one word is a diff of one line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from .contracts import Problem
from .pieces import SourceRefused

MAX_FILE: Final = 262_144
MAX_DEPTH: Final = 40
Path = tuple[str | int, ...]
"""Where a value is: keys and positions, outermost first."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with resolvers of its own, below."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]{0,17})", "-+0123456789"),
    ("float", r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+][0-9]+)?", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file says. lines: of each value by its path, those of keys for values of a mapping; none for data that
    came from elsewhere.
    """

    data: Any
    where: str
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest thing around it that is there; 0 when there is none."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def problem(self, path: Path, mend: str) -> Problem:
        """A problem with a value."""
        return Problem(self.where, self.line(path), path_shown(path), mend)


def path_shown(path: Path) -> str:
    """`expect.slots.hero[2]`."""
    shown = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path)
    return shown.removeprefix(".")


def yaml_read(text: str, where: str) -> Reading:
    """The data of a YAML file with its lines. Raises SourceRefused for what can't be read, or isn't allowed here."""
    if len(text.encode("utf-8", "replace")) > MAX_FILE:
        raise SourceRefused(Problem(where, 0, "", f"is over {MAX_FILE // 1024} kB: split it"))
    try:
        for event in yaml.parse(text, Loader=_Loader):
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise SourceRefused(Problem(where, line, "", "anchors and aliases aren't allowed: write it out"))
            if tag := getattr(event, "tag", None):
                raise SourceRefused(Problem(where, line, str(tag)[:40], "tags aren't allowed: leave it out"))
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        found = error.problem_mark or error.context_mark
        said = (error.problem or "can't be read").replace("\t", "tab")
        raise SourceRefused(Problem(where, found.line + 1 if found else 0, "", f"is not YAML: {said}")) from None
    except yaml.YAMLError as error:
        raise SourceRefused(Problem(where, 0, "", f"is not YAML: {str(error).splitlines()[0]}")) from None
    except RecursionError:
        raise SourceRefused(Problem(where, 0, "", "is nested too deep")) from None
    lines: dict[Path, int] = {}
    data = _data(node, (), lines, where) if node is not None else None
    return Reading(data, where, lines)


def _data(node: yaml.Node, path: Path, lines: dict[Path, int], where: str) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(path) > MAX_DEPTH:
        raise SourceRefused(Problem(where, line, "", "is nested too deep"))
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            at = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise SourceRefused(Problem(where, at, "", "a key must be a word"))
            name = str(key.value)
            if name in mapping:
                raise SourceRefused(Problem(where, at, path_shown((*path, name)), "is there twice: take one out"))
            lines[(*path, name)] = at
            mapping[name] = _data(value, (*path, name), lines, where)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_data(child, (*path, number), lines, where) for number, child in enumerate(node.value)]
    text = str(node.value)
    match node.tag.rpartition(":")[2]:
        case "bool":
            return text == "true"
        case "null":
            return None
        case "int":
            return int(text)
        case "float":
            return float(text)
        case _:
            return text


_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff]")


class _Dumper(yaml.SafeDumper):
    """Block style, several lines as they are; lists in mappings stand further in."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    if _ODD.search(value):
        style = '"'  # YAML folds the rarer line breaks and drops others
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_write(data: Any) -> str:
    """Data (as JSON has it) as YAML: the same data give the same bytes, and `yaml_read` gives the data back."""
    return yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000, default_flow_style=False
    )
