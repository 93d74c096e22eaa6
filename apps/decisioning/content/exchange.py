"""What differs between a folder, the database, and what both were when they last met. Pure but for the lock file.

The lock file, `tessera.lock`, holds the digest of each object as it was in the database at the last pull or push. With
it can be told who changed an object: here, there, or both.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Final

from .contracts import Problem
from .folders import Entry, Folder, entry_write

LOCK: Final = "tessera.lock"
_FORMAT: Final = 1


def lock_read(root: Path) -> dict[str, str]:
    """Digests by label; {} if there is none. Raises ValueError for one that can't be read."""
    file = root / LOCK
    if not file.exists():
        return {}
    try:
        data = json.loads(file.read_text("utf-8"))
        base = data["base"]
        if data["format"] == _FORMAT and all(isinstance(one, str) for pair in base.items() for one in pair):
            return dict(base)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"{LOCK} can't be read: take it from git again, or pull into a new folder")


def lock_write(root: Path, base: Mapping[str, str]) -> None:
    """Write the lock file; one line an object, so that two branches of git can be put together."""
    text = json.dumps({"format": _FORMAT, "base": dict(sorted(base.items()))}, ensure_ascii=False, indent=1)
    (root / LOCK).write_text(f"{text}\n", "utf-8", newline="\n")


@dataclass(slots=True)
class Plan:
    """What a push or pull does. new, changed: objects to write; conflicts: changed on both sides; newer: on the other
    side only (a push leaves them); own: on this side only (a pull leaves them); gone: no longer on this side.
    """

    new: list[Entry] = field(default_factory=list)
    changed: list[Entry] = field(default_factory=list)
    conflicts: list[Entry] = field(default_factory=list)
    newer: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    @property
    def writes(self) -> list[Entry]:
        """What is written, in the order of `KINDS`."""
        return [*self.new, *self.changed]


def push_plan(folder: Folder, stored: Mapping[str, Entry], base: Mapping[str, str]) -> Plan:
    """What a push of the folder would write into the database."""
    plan = Plan()
    for label, mine in folder.entries.items():
        there = stored.get(label)
        if there is None:
            (plan.conflicts if label in base else plan.new).append(mine)
        elif mine.digest == there.digest:
            continue
        elif base.get(label) == there.digest:
            plan.changed.append(mine)
        elif base.get(label) == mine.digest:
            plan.newer.append(label)
        else:
            plan.conflicts.append(mine)
    plan.gone = sorted(label for label in stored if label in base and label not in folder.entries)
    return plan


def pull_plan(folder: Folder | None, stored: Mapping[str, Entry], base: Mapping[str, str], *, force: bool) -> Plan:
    """What a pull would write into the folder. force: what was changed here goes too."""
    plan = Plan()
    mine_by_label = folder.entries if folder is not None else {}
    unread = {problem.where for problem in folder.problems} if folder is not None else set()
    for label, there in stored.items():
        mine = mine_by_label.get(label)
        if mine is None:
            within = there.file.removesuffix("template.yaml") if there.kind == "templates" else there.file
            broken = any(where.startswith(within) for where in unread)
            (plan.conflicts if broken and not force else plan.new).append(there)
        elif mine.digest == there.digest:
            continue
        elif force or base.get(label) == mine.digest:
            plan.changed.append(there)
        elif base.get(label) == there.digest:
            plan.own.append(label)
        else:
            plan.conflicts.append(there)
    for label, mine in mine_by_label.items():
        if label not in stored:
            (plan.gone if base.get(label) == mine.digest else plan.own).append(label)
    return plan


def pull_write(
    root: Path, folder: Folder | None, stored: Mapping[str, Entry], plan: Plan, base: dict[str, str]
) -> None:
    """Write what the plan says, and the lock file."""
    mine = folder.entries if folder is not None else {}
    taken = {entry.file for entry in mine.values()}
    for entry in plan.writes:
        before = mine.get(entry.label)
        target = entry
        if before is not None and before.file != entry.file:
            target = _moved(entry, before.file)
        elif before is None and entry.file in taken and entry.kind == "blocks":
            target = _moved(entry, f"{entry.file.removesuffix('.yaml')}-{entry.digest[:6]}.yaml")
        entry_write(root, target, before)
    for label in plan.gone:
        for path in mine[label].files():
            (root / path).unlink(missing_ok=True)
    kept = {label: base[label] for label in plan.own if label in base}
    after = {label: entry.digest for label, entry in stored.items() if label not in plan.own}
    lock_write(root, after | kept)


def _moved(entry: Entry, file: str) -> Entry:
    return Entry(entry.kind, entry.key, entry.data, file, entry.arrangement, entry.cases)


def entry_diff(before: Entry | None, after: Entry) -> list[str]:
    """A unified diff of an object's files, as they are written."""
    old = before.files() if before is not None else {}
    if before is not None and before.file != after.file:
        stems = before.file.removesuffix(".yaml"), after.file.removesuffix(".yaml")
        old = {path.replace(*stems, 1): text for path, text in old.items()}
    new = after.files()
    lines: list[str] = []
    for path in sorted(old.keys() | new.keys()):
        lines += unified_diff(
            old.get(path, "").splitlines(),
            new.get(path, "").splitlines(),
            f"database/{path}" if path in old else "/dev/null",
            f"folder/{path}" if path in new else "/dev/null",
            lineterm="",
        )
    return lines


def conflict_problems(plan: Plan, stored: Mapping[str, Entry], base: Mapping[str, str]) -> list[Problem]:
    """What to do about objects that were changed on both sides before a push."""

    def mend(entry: Entry) -> str:
        if entry.label not in stored:
            return "is no longer in the database under this name: pull first"
        if entry.label not in base:
            return "is in the database, and was never pulled from there: pull first"
        return "was changed in the database since the pull: pull first, and put both changes together"

    return [Problem(entry.file, 0, entry.key, mend(entry)) for entry in plan.conflicts]
