"""What the admin's pages of playbooks show: tables, pictures, facts, and the page that asks for a second thought."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.foundation.core.errors import DomainError

from .contracts import PlaybookSpec
from .forms import ConfirmForm
from .models import Playbook, PlaybookVersion, Preparation
from .own_time import wall_of
from .pictures import Picture, picture_of_spec
from .selectors import TierRow, role_titles, rule_words
from .steps import step_title

COLOURS = {
    PlaybookVersion.State.IN_REVIEW: "info",
    PlaybookVersion.State.APPROVED: "info",
    PlaybookVersion.State.PUBLISHED: "success",
    PlaybookVersion.State.REFUSED: "warning",
    PlaybookVersion.State.VOID: "danger",
}
"""Of labels, by state of a version."""
FIT = "min-w-0"
"""Class of a fieldset, which else grows with its widest table on a phone."""
LINK = "text-primary-600 dark:text-primary-500 underline"


def next_words(playbook: Playbook, instant: datetime | None) -> str:
    """When the schedule of what is published comes next, for people."""
    if instant is None or playbook.published is None:
        return "Not scheduled. A schedule counts from when a version with it is published."
    if not playbook.published.spec.get("own_zone"):
        return f"{instant:%A, %d %B %Y, %H:%M} UTC, as published"
    wall = datetime.fromisoformat(wall_of(instant))
    begins = f"begins where that day does first, on {instant:%A at %H:%M} UTC"
    return f"{wall:%A, %d %B %Y, %H:%M} on each person's own wall, as published; it {begins}"


def prepared_words(playbook: Playbook, made: Iterable[Preparation], *, at: datetime) -> list[str]:
    """What was made ahead of the next send of each message, when, and whether it is good, for people.

    Of one that nobody uses any more only the newest is told, and that only where there is no other.
    """
    rows = sorted(made, key=lambda one: one.ended_at)
    if not rows:
        ways = ["by itself ahead of its schedule"] if playbook.trigger == Playbook.Trigger.SCHEDULE else []
        if playbook.steps or playbook.trigger not in (Playbook.Trigger.HAND, Playbook.Trigger.SCHEDULE):
            ways.append("by itself for whoever comes to a message soon")
        return [
            "Nothing yet. What each person is shown can be chosen some hours ahead, so that a send is decided sooner: "
            + (f"done {', '.join(ways)}, or " if ways else "")
            + f"by manage.py precompute {playbook.code}. Who gets what is the same without it."
        ]
    used = [one for one in rows if one.version_id == playbook.published_id or (one.step and one.good_until > at)]
    return [_prepared_words(playbook, one, at) for one in used or rows[-1:]]


def _prepared_words(playbook: Playbook, made: Preparation, at: datetime) -> str:
    spec: PlaybookSpec = made.version.spec
    people = "1 person" if made.people == 1 else f"{made.people:,} people"
    title = step_title(spec, made.step)
    said = f"{title}: " if title else ""
    said += f"{made.ended_at:%A, %d %B, %H:%M} UTC, for {people}"
    if playbook.published_id != made.version_id:
        if not made.step:
            return f"{said}, by v{made.version.number}, which is not what is published: a send chooses anew"
        said += f" who began with v{made.version.number}"
    if made.good_until <= at:
        return f"{said}: too long ago to be used, a send chooses anew"
    if not made.done:
        said += " so far"
    return f"{said}; a send uses it until {made.good_until:%H:%M} UTC for whom nothing changed meanwhile"


@dataclass
class Question:
    """What a confirmation page asks. do: the deed, returns where to go; lines, rows: what to know before it."""

    heading: str
    button: str
    do: Callable[[dict[str, Any]], str]
    form: type[ConfirmForm] = ConfirmForm
    initial: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    danger: bool = False


def picture_html(picture: Picture) -> SafeString:
    """The picture of steps as a page shows it."""
    html = render_to_string("playbooks/picture.html", {"picture": picture})
    return mark_safe(f'<link rel="stylesheet" href="{static("tessera/steps.css")}">{html}')  # noqa: S308  # our own template


def tiers_table(rows: list[TierRow]) -> SafeString:
    body = format_html_join(
        "",
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        ((row.slot if row.position == 1 else "", row.tier, row.name, row.condition, row.block) for row in rows),
    )
    return format_html(
        '<div class="t-scroll"><table class="t-table"><thead><tr><th>Slot</th><th>Tier</th><th>Name</th>'
        "<th>Shown when</th><th>Block</th></tr></thead><tbody>{}</tbody></table></div>",
        body,
    )


def problems_of(error: DomainError) -> list[str]:
    """The single problems of an error, or its message."""
    found = []
    for problem in error.extra.get("problems", []):
        if "place" in problem:
            found.append(f"{problem['place']}: {problem['problem']}")
        else:
            line = f", line {problem['line']}" if problem.get("line") else ""
            found.append(f"{problem.get('where', '')}{line}: {problem.get('token', '')} {problem.get('mend', '')}")
    return found or [error.message]


def version_facts(version: PlaybookVersion) -> list[tuple[str, str]]:
    spec: PlaybookSpec = version.spec
    cap = spec["cap"]
    picture = picture_of_spec(spec)
    return [
        ("Audience", rule_words(spec["audience_rule"])),
        ("Trigger", picture.start),
        ("Languages", ", ".join(spec["languages"])),
        ("Sender", f"{spec['brand']['from_name']} <{spec['brand']['from_email']}>"),
        ("Purpose and channel", f"{spec['purpose']}, {spec['channel']}"),
        *(("Topic", topic) for topic in [spec.get("topic")] if topic),
        ("Cap", "none" if cap is None else f"{cap['count']} in {cap['days']} days"),
        *(("Holds for all", note) for note in picture.notes),
        ("Main KPI", spec["kpi"]),
        ("Must agree", ", ".join(role_titles(spec["approval_path"]))),
        ("Digest", version.digest),
    ]
