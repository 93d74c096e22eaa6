"""What the pages of dry runs and tests show: figures, samples, and whether a dry run is of what stands there now."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import connection
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.data.profiles.attributes import sensitive_names
from apps.decisioning.content.models import BlockVersion
from apps.decisioning.content.trials import CLIPPED_OVER
from apps.decisioning.decisions.engine import SEND, Verdict
from apps.decisioning.decisions.selectors import SlotExplained, language_note, slots_explain, verdict_summary
from apps.decisioning.decisions.services import people_decide
from apps.decisioning.playbooks.contracts import PlaybookSpec, TierSpec
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.selectors import rule_words
from apps.decisioning.playbooks.specs import playbook_problems, spec_build
from apps.decisioning.playbooks.steps import in_one_go, steps_walk
from apps.foundation.core.clock import now
from apps.foundation.core.errors import DomainError

from .counting import Estimate, Kind, Tally, estimate_of, kind_of, margin_of
from .dry_runs import dry_run_tally, messages_of, step_specs
from .models import DryRun, DryRunSample
from .words import reason_in_words, tier_in_words

OLD: Final = timedelta(hours=24)
"""After so long people and their choices have moved on."""

ADVICE: Mapping[str, Any] = {
    "no_consent": gettext_lazy("Ask for consent where people sign up; an import brings it only with its evidence."),
    "withdrawn": gettext_lazy("They left, and that stands. Nothing is to be done."),
    "wording_outdated": gettext_lazy("Ask them again: an audience can pick out those who must be asked."),
    "suppressed": gettext_lazy("Their address bounced, complained or was blocked. It stays suppressed."),
    "invalid_address": gettext_lazy("No address is known to write to. Bring one in with an import."),
    "frequency_cap": gettext_lazy("Send later, or look at the cap of this playbook."),
    "duplicate_address": gettext_lazy("Two profiles have one address: look whether they are one person."),
    "render_failed": gettext_lazy("Open one of these samples, and have the template mended."),
}
"""What can be done about a reason."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a breakdown. people: of the whole audience, estimated where a sample was counted."""

    code: str
    words: str
    note: str
    people: int
    percent: float


@dataclass(frozen=True, slots=True)
class SlotBars:
    """How often each tier of a slot would be shown."""

    slot: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One message of what is looked at. title: of its step, "" where there is but one message."""

    step: str
    title: str
    people: int
    messages: int
    withheld: int
    reasons: Sequence[Bar]
    languages: Sequence[Bar]
    slots: Sequence[SlotBars]


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a dry run's page shows. exact: everybody was or will be counted; margin: percentage points; decided:
    people counted so far; messages, withheld: of the whole audience; sizes in bytes.
    """

    exact: bool
    margin: float
    decided: int
    percent: float
    gone: int
    messages: int
    withheld: int
    steps: Sequence[StepFigures]
    ways: Sequence[Bar]
    journeys: bool
    median: int
    largest: int
    largest_html: int
    clipped: int
    clip_percent: float
    estimate: Estimate | None
    pace: Mapping[str, Any] | None
    deciding_per_second: float
    audience: str
    top: Bar | None
    settled: bool

    @property
    def advice(self) -> str:
        """What can be done about the most frequent reason to get nothing."""
        return str(ADVICE.get(self.top.code, "")) if self.top is not None else ""


def figures_of(dry_run: DryRun) -> Figures:
    """The figures of a dry run now."""
    tally = dry_run_tally(dry_run)
    whole = _scale(dry_run, tally)
    steps = [_step_figures(dry_run, tally, whole, message) for message in step_specs(dry_run.spec)]
    pace: Mapping[str, Any] | None = dry_run.pace
    reasons = sorted((bar for step in steps for bar in step.reasons), key=lambda bar: -bar.people)
    return Figures(
        exact=dry_run.exact,
        margin=round(margin_of(counted=tally.people, people=dry_run.people), 1),
        decided=tally.people,
        percent=round(100 * tally.people / dry_run.counted, 1) if dry_run.counted else 0.0,
        gone=tally.gone,
        messages=sum(step.messages for step in steps),
        withheld=sum(step.withheld for step in steps),
        steps=steps,
        ways=_ways(dry_run.spec, tally, whole),
        journeys=not in_one_go(dry_run.spec),
        median=tally.median,
        largest=tally.largest,
        largest_html=tally.largest_html,
        clipped=whole(tally.clipped),
        clip_percent=min(100.0, round(100 * tally.largest_html / CLIPPED_OVER, 1)),
        estimate=estimate_of(tally, people=dry_run.people, per_second=pace["per_second"] if pace else None),
        pace=pace,
        deciding_per_second=round(tally.people / tally.seconds, 1) if tally.seconds else 0.0,
        audience=rule_words(dry_run.spec["audience_rule"]),
        top=reasons[0] if reasons else None,
        settled=not dry_run.moving,
    )


def _scale(dry_run: DryRun, tally: Tally) -> Any:
    """From people counted to people of the audience: the same where everybody is counted."""
    if dry_run.exact or not tally.people:
        return lambda count: count
    return lambda count: round(count * dry_run.people / tally.people)


def _step_figures(dry_run: DryRun, tally: Tally, whole: Any, message: tuple[str, str, PlaybookSpec]) -> StepFigures:
    step, title, spec = message
    outcomes = tally.outcomes(step)
    people, decided = sum(outcomes.values()), outcomes.pop(SEND, 0)
    if tally.doubled:
        outcomes["duplicate_address"] = tally.doubled
    sent = decided - tally.doubled
    blocks = {
        version.pk: str(version)
        for version in BlockVersion.objects.select_related("block").filter(
            pk__in={tier["block_version"] for tiers in spec["slots"].values() for tier in tiers}
        )
    }
    return StepFigures(
        step=step,
        title=title,
        people=whole(people),
        messages=whole(sent),
        withheld=whole(people - sent),
        reasons=_bars(outcomes, people, whole, lambda code: (reason_in_words(code), str(ADVICE.get(code, "")))),
        languages=_bars(tally.languages(step), decided, whole, lambda code: (code, "")),
        slots=[
            SlotBars(slot, _tier_bars(tiers, tally.tiers(step, slot), decided, whole, blocks))
            for slot, tiers in sorted(spec["slots"].items())
            if len(tiers) > 1
        ],
    )


def _ways(spec: PlaybookSpec, tally: Tally, whole: Callable[[int], int]) -> list[Bar]:
    """How many go each way of each branch, and leave before which step, in the order of the steps."""
    words = {"then": _("Yes"), "else": _("No"), "left": _("Left here")}
    return [
        Bar(
            f"{step['id']}/{way}",
            f"{capfirst(step['name'] or step['id'])}: {said}",
            rule_words(step["when"]) if way == "then" and "when" in step else "",
            whole(tally.ways[f"{step['id']}/{way}"]),
            round(100 * tally.ways[f"{step['id']}/{way}"] / tally.people, 1) if tally.people else 0.0,
        )
        for _place, step in steps_walk(spec.get("steps"))
        for way, said in words.items()
        if f"{step['id']}/{way}" in tally.ways
    ]


def _bars(counts: Mapping[str, int], of: int, whole: Any, words: Callable[[str], tuple[str, str]]) -> list[Bar]:
    return [
        Bar(code, *words(code), whole(counts[code]), round(100 * counts[code] / of, 1) if of else 0.0)
        for code in sorted(counts, key=lambda code: (-counts[code], code))
    ]


def _tier_bars(
    tiers: Sequence[TierSpec], counts: Mapping[str, int], of: int, whole: Any, blocks: Mapping[int, str]
) -> list[Bar]:
    """In the order of the tiers, those that nobody gets too."""
    return [
        Bar(
            str(place),
            tier["name"] or tier_in_words(tier["tier"]),
            blocks.get(tier["block_version"], ""),
            whole(counts.get(str(place), 0)),
            round(100 * counts.get(str(place), 0) / of, 1) if of else 0.0,
        )
        for place, tier in enumerate(tiers)
    ]


# --- what a dry run is of ---


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a dry run is of what one thinks. good: it is, and not old."""

    good: bool
    words: str


def standing_of(dry_run: DryRun, *, digest: str = "") -> Standing:
    """What a dry run is of, held against a digest that is asked about, or against what stands there now."""
    if digest and dry_run.digest != digest:
        return Standing(False, _("It is of other content than this: make a new one."))
    if not digest and dry_run.version is None and not _is_draft_of_now(dry_run):
        return Standing(False, _("The playbook or content that it uses was changed since: make a new one."))
    when = dry_run.finished_at or dry_run.created_at
    if now() - when > OLD:
        return Standing(False, _("It is over a day old: people and their choices have moved on since."))
    if dry_run.version is not None or digest:
        return Standing(True, _("It is of exactly what is handed in: the digests are the same."))
    return Standing(True, _("It is of the playbook as it stands now."))


def _is_draft_of_now(dry_run: DryRun) -> bool:
    """Whether handing in now would bind the same. What a spec names never changes, so comparing specs is enough."""
    playbook = dry_run.playbook
    try:
        if playbook_problems(playbook):
            return False
        spec, _written = spec_build(playbook)
    except DomainError:
        return False
    return bool(json.loads(json.dumps(spec)) == dry_run.spec)


def dry_run_for(version: PlaybookVersion) -> tuple[DryRun | None, Standing | None]:
    """The dry run that answerers of a review of this version look at: the newest of its very digest, else the newest
    of the playbook, which is of something else.
    """
    of_playbook = DryRun.objects.filter(playbook=version.playbook_id).select_related("version", "made_by", "playbook")
    ended = of_playbook.filter(state=DryRun.State.DONE).order_by("-created_at")
    found = ended.filter(digest=version.digest).first() or ended.first()
    return found, standing_of(found, digest=version.digest) if found is not None else None


def dry_runs_lately(playbook: Playbook) -> list[DryRun]:
    """The last ten of a playbook."""
    return list(
        DryRun.objects.filter(playbook=playbook)
        .select_related("version", "made_by", "playbook")
        .defer("spec", "result")
        .order_by("-created_at")[:10]
    )


# --- samples ---


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A sample in the list."""

    position: int
    outcome: str
    words: str


@dataclass(frozen=True, slots=True)
class SampleShown:
    """A sample as its page shows it: decided and made anew, so that what changed since is seen.

    changed: they would get something else now than when it was counted; html, text, subject: "" without a message.
    """

    sample: DryRunSample
    count: int
    outcome: str
    words: str
    was: str
    changed: bool
    summary: str
    language: str
    language_note: str
    slots: Sequence[SlotExplained]
    subject: str
    html: str
    text: str
    size: int
    html_size: int
    clipped: bool

    @property
    def chosen(self) -> list[SlotExplained]:
        """Slots for which there was something to choose."""
        return [slot for slot in self.slots if slot.passed_over or slot.rule != "always"]

    @property
    def fixed(self) -> list[SlotExplained]:
        """Slots that look the same for everybody."""
        return [slot for slot in self.slots if slot not in self.chosen]


def sample_rows(dry_run: DryRun) -> list[SampleRow]:
    """The samples of a dry run, with what each stands for."""
    rows = []
    for sample in dry_run.samples.all():
        kind = Kind.from_json(sample.kind)
        rows.append(SampleRow(sample.position, kind.outcome, kind_in_words(kind, dry_run)))
    return rows


def kind_in_words(kind: Kind, dry_run: DryRun) -> str:
    """What somebody stands for: the tiers they get and the language, or why they get nothing."""
    found = next((one for one in step_specs(dry_run.spec) if one[0] == kind.step), None)
    title, slots = ([found[1]] if found[1] else [], found[2]["slots"]) if found is not None else ([], {})
    if kind.outcome != SEND:
        return " · ".join([*title, reason_in_words(kind.outcome)])
    parts = [
        f"{capfirst(slot)}: {capfirst(slots[slot][place]['name'] or tier_in_words(slots[slot][place]['tier']))}"
        for slot, place in kind.tiers
        if slot in slots and place < len(slots[slot]) and len(slots[slot]) > 1
    ]
    return " · ".join([*title, *parts, kind.language])


def sample_shown(sample: DryRunSample, *, sensitive: bool) -> SampleShown:
    """A sample, decided and made as it would be now, by what was known at the dry run's moment.

    sensitive: for somebody who may see sensitive attributes; for others it is made as if they were not known.
    """
    dry_run = sample.dry_run
    was = Kind.from_json(sample.kind)
    message = next(message for message in messages_of(dry_run) if message.step == was.step)
    spec = message.spec
    with connection.cursor() as cursor:
        decided = people_decide(
            cursor,
            plan=message.plan,
            purpose=spec["purpose"],
            channel=spec["channel"],
            profile_ids=[sample.profile_id],
            as_of=dry_run.as_of,
            at=now(),
            hidden=() if sensitive else sensitive_names(),
        )
    verdict: Verdict = decided.verdicts[0][1]
    made, failed = message.make(verdict, "") if verdict.outcome == SEND else (None, "")
    kind = kind_of(message.step, verdict, failed=failed)
    html = made.rendered.html if made is not None else ""
    return SampleShown(
        sample=sample,
        count=dry_run.samples.count(),
        outcome=kind.outcome,
        words=kind_in_words(kind, dry_run),
        was=kind_in_words(was, dry_run),
        changed=kind != was,
        summary=verdict_summary(verdict),
        language=verdict.inputs.get("language", ""),
        language_note=language_note(spec, verdict),
        slots=slots_explain(spec, verdict),
        subject=made.rendered.subject if made is not None else "",
        html=html,
        text=made.rendered.text if made is not None else "",
        size=len(made.content) if made is not None else 0,
        html_size=len(html.encode()),
        clipped=len(html.encode()) > CLIPPED_OVER,
    )


def pace_in_words(figures: Figures) -> str:
    """What the estimate of a run's time rests on."""
    deciding = _("Deciding and making messages was measured in this dry run: %(rate)s people a second and worker.") % {
        "rate": f"{figures.deciding_per_second:,.0f}"
    }
    if figures.pace is None:
        return f"{deciding} " + _("How fast the mail server takes them is not known yet: no run was large enough.")
    sending = ngettext(
        "Handing over was measured in the last run: %(messages)s messages, %(rate)s a second.",
        "Handing over was measured in the last %(runs)s runs: %(messages)s messages, %(rate)s a second.",
        figures.pace["runs"],
    ) % {
        "runs": figures.pace["runs"],
        "messages": f"{figures.pace['messages']:,}",
        "rate": f"{figures.pace['per_second']:,.1f}",
    }
    return f"{sending} {deciding} " + _("Both go on at once, so the slower one counts.")
