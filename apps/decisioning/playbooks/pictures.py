"""The steps of a playbook as a picture: what begins it, each step in words, and where people leave. Reads only.

The picture is a list of lists, so that a page shows it with lines, a printer on paper, and a screen reader in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.decisioning.content.models import Template, TemplateVersion

from .contracts import PlaybookSpec
from .models import Playbook
from .rules import GUARDRAILS
from .selectors import rule_words
from .steps import ONLY, steps_of

_ICONS = {"message": "mail", "wait": "hourglass_empty", "branch": "call_split", "exit": "logout"}
_DAYS = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One step of the picture. number: such as 2 or 4.1; then, other: the two ways of a branch."""

    number: str
    kind: str
    icon: str
    title: str
    detail: str
    then: Sequence["Shown"] = ()
    other: Sequence["Shown"] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole picture. start: what begins it; audience: for whom; notes: what holds for all of it."""

    start: str
    audience: str
    steps: Sequence[Shown]
    notes: Sequence[str]


def picture_of_spec(spec: PlaybookSpec) -> Picture:
    """The picture of a version, as it is pinned."""
    wanted = {step["template_version"] for step in _messages(steps_of(spec))}
    templates = {
        version.pk: str(version) for version in TemplateVersion.objects.select_related("template").filter(pk__in=wanted)
    }
    event = spec.get("event")
    return Picture(
        start=start_words(
            trigger=spec["trigger"],
            schedule=spec["schedule"],
            zone=spec["time_zone"],
            event=event["name"] if event is not None else "",
            where=event["where"] if event is not None else None,
            again=spec.get("again_after_days"),
            mail=spec.get("mail_kind", ""),
        ),
        audience=rule_words(spec["audience_rule"]),
        steps=_shown(steps_of(spec), "", lambda step: templates.get(step.get("template_version", 0), "")),
        notes=_notes(spec.get("quiet"), spec["send_within_hours"], spec.get("guardrails") or []),
    )


def picture_of_draft(playbook: Playbook) -> Picture:
    """The picture of a playbook as it stands, also of one that is not whole yet."""
    steps = playbook.steps or [{"kind": "message", "id": ONLY, "name": "", "template": playbook.template_id}]
    quiet = None
    if playbook.quiet_start and playbook.quiet_end:
        quiet = {"start": f"{playbook.quiet_start:%H:%M}", "end": f"{playbook.quiet_end:%H:%M}"}
    return Picture(
        start=start_words(
            trigger=playbook.trigger,
            schedule=playbook.schedule,
            zone=playbook.time_zone,
            event=playbook.event_name,
            where=playbook.event_where,
            again=playbook.again_after_days,
            mail=playbook.mail_kind,
        ),
        audience=rule_words(playbook.audience.rule) if playbook.audience_id else "",
        steps=steps_shown(steps),
        notes=_notes(quiet, playbook.send_within_hours, playbook.guardrails),
    )


def steps_shown(steps: Sequence[Mapping[str, Any]]) -> list[Shown]:
    """Steps of a draft as a picture; what can't be read is shown as far as it can."""
    templates: dict[Any, str] = dict(Template.objects.values_list("pk", "name"))
    templates |= dict(Template.objects.values_list("code", "name"))

    def template_name(step: Mapping[str, Any]) -> str:
        wanted = step.get("template")
        return templates.get(wanted, "") if isinstance(wanted, str | int) else ""

    return _shown(steps, "", template_name)


def _messages(steps: Sequence[Any]) -> list[Any]:
    found = []
    for step in steps:
        if step["kind"] == "message":
            found.append(step)
        found += _messages(step.get("then", [])) + _messages(step.get("else", []))
    return found


def _shown(steps: object, before: str, template_name: Any) -> list[Shown]:
    shown = []
    for index, step in enumerate(steps if isinstance(steps, list) else [], 1):
        if not isinstance(step, Mapping):
            continue
        number = f"{before}{index}"
        kind = str(step.get("kind", ""))
        title, detail = _step_words(step, kind, template_name)
        shown.append(
            Shown(
                number,
                kind,
                _ICONS.get(kind, "help"),
                title,
                detail,
                then=_shown(step.get("then"), f"{number}a.", template_name),
                other=_shown(step.get("else"), f"{number}b.", template_name),
            )
        )
    return shown


def _step_words(step: Mapping[str, Any], kind: str, template_name: Any) -> tuple[str, str]:
    name = str(step.get("name") or "")
    if kind == "message":
        return name or "Message", template_name(step)
    if kind == "wait":
        return wait_words(step), name
    if kind == "branch":
        return name or "Branch", rule_words(step.get("when"))
    if kind == "exit":
        why = f"“{step['event']}” since it began" if step.get("event") else rule_words(step.get("when"))
        return (name and f"Exit: {name}") or "Exit", f"when {why}; looked at before each step from here"
    return "Not a step yet", ""


def wait_words(step: Mapping[str, Any]) -> str:
    """What a wait says, such as “Wait 3 days” or “Wait until 09:00 on Monday, in their time zone”."""
    span, until = step.get("for"), step.get("until")
    if isinstance(span, dict) and len(span) == 1:
        unit, number = next(iter(span.items()))
        return f"Wait {number} {str(unit).removesuffix('s') if number == 1 else unit}"
    if isinstance(until, dict):
        days = [_DAYS[day] for day in until.get("days") or [] if day in _DAYS]
        on = f" on {', '.join(days[:-1])}{' or ' if days[1:] else ''}{days[-1]}" if days else ""
        where = "the playbook's time zone" if until.get("zone") == "playbook" else "their time zone"
        return f"Wait until {until.get('time', '?')}{on}, in {where}"
    return "Wait"


def start_words(
    *, trigger: str, schedule: str, zone: str, event: str, where: object, again: int | None, mail: str = ""
) -> str:
    """What begins a playbook, as a phrase. mail: the kind of system mail that it is."""
    if mail in Playbook.Mail.values:
        return f"When it is wanted for somebody: {Playbook.Mail(mail).label}"
    often = {None: "once per person", 0: "each time"}.get(again, f"at most once in {again} days per person")
    if trigger == Playbook.Trigger.SCHEDULE:
        return f"On the schedule {schedule} ({zone})"
    if trigger == Playbook.Trigger.EVENT:
        only = f" with {rule_words(where)}" if where is not None else ""
        return f"At the event “{event}”{only}, {often}"
    if trigger == Playbook.Trigger.AUDIENCE:
        return f"When somebody enters the audience, {often}"
    if trigger == Playbook.Trigger.API:
        return f"When a program asks for it, {often}"
    return "When somebody starts it by hand"


def _notes(quiet: Mapping[str, str] | None, hours: int, guardrails: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    if quiet is not None:
        notes.append(
            f"Quiet from {quiet['start']} until {quiet['end']} on the person's clock: a message waits for the end, "
            f"or is withheld if that is later than {hours} hours after its time."
        )
    else:
        notes.append(f"A message goes out within {hours} hours of its time, or not at all.")
    for one in guardrails:
        words, unit = GUARDRAILS.get(str(one.get("kpi")), (str(one.get("kpi")), ""))
        notes.append(f"Guardrail: {words}, at most {one.get('limit'):g}{' ' + unit if unit else ''}. Not measured yet.")
    return notes
