"""The playbook's form. Steps are cards over JSON with blocks by name; every problem stands beside its field."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.decisioning.audiences.forms import RuleField
from apps.decisioning.content.forms.inputs import LinesField
from apps.decisioning.content.models import Block, Brand, Market, Template
from apps.decisioning.content.selectors import markets_of
from apps.decisioning.recommendations.rankers import RANKERS
from apps.foundation.accounts.models import User
from apps.foundation.accounts.roles import ROLES
from apps.foundation.core.conflicts import ConflictForm
from apps.foundation.core.wall_clock import WEEKDAYS

from .models import Playbook
from .pictures import steps_shown
from .rules import GUARDRAILS
from .specs import playbook_problems, templates_known
from .steps import ONLY, steps_read

_MAX_CHARACTERS = 200_000
_STEPS_HELP = (
    'What happens, in order. A slot\'s tiers go best first: a tier names a block, and when it is shown; "when" is '
    'a rule as in audiences, "source" a list of recommendations ('
    + ", ".join(RANKERS)
    + ') that must give "count" items. The last tier is static, without either.'
)


def json_read(text: str) -> Any:
    """What JSON says. Raises ValidationError with the line of a fault."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as fault:
        message = f"Line {fault.lineno}, column {fault.colno}: this is not JSON yet ({fault.msg})"
        raise ValidationError(message) from None
    except (RecursionError, ValueError):
        raise ValidationError("This is nested too deep, or holds a number too large") from None


def safe_json(value: object) -> SafeString:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, ensure_ascii=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return mark_safe(text)  # noqa: S308  # no sign that ends the element is left


class StepsWidget(UnfoldAdminTextareaWidget):
    """The editor of steps: cards over JSON, with the picture beside it."""

    class Media:
        css = {"all": ["tessera/steps.css"]}
        js = ["tessera/steps.js"]

    def __init__(self, preview_url: str = "") -> None:
        super().__init__({"rows": 20, "spellcheck": "false", "aria-label": "Steps as JSON"})
        self.preview_url = preview_url

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        textarea = super().render(name, value, attrs, renderer)
        context = {"textarea": textarea, "preview_url": self.preview_url, "templates": safe_json(_template_choices())}
        return mark_safe(render_to_string("playbooks/steps_widget.html", {**context, **steps_seen(value or "[]")}))  # noqa: S308  # our own template


def _template_choices() -> list[dict[str, Any]]:
    """The templates for the editor, each with its slots, empty but for the static tier."""
    names: dict[int, str] = dict(Template.objects.values_list("pk", "name"))
    return [
        {
            "code": one.code,
            "name": names.get(one.id, one.code),
            "slots": {slot: [{"tier": "static", "block": ""}] for slot in one.slots},
        }
        for one in templates_known()
    ]


def steps_seen(text: str) -> dict[str, Any]:
    """Steps as they are written at this moment: the picture, and what is wrong with them."""
    try:
        steps = json_read(text[:_MAX_CHARACTERS])
    except ValidationError as fault:
        return {"fault": fault.messages[0], "steps": [], "problems": safe_json([]), "rest": []}
    blocks = dict(Block.objects.values_list("name", "pk"))
    _, problems = steps_read(steps, templates=templates_known(), blocks=blocks) if steps else ([], [])
    return {
        "steps": steps_shown(steps),
        "problems": safe_json([{"place": one.place, "problem": one.problem} for one in problems]),
        "rest": [one.problem for one in problems if one.place == "steps"],
    }


class StepsField(forms.CharField):
    """JSON, read into Python; a fault is told with its line."""

    def __init__(self) -> None:
        super().__init__(widget=StepsWidget, help_text=_STEPS_HELP, max_length=_MAX_CHARACTERS)

    def prepare_value(self, value: object) -> object:
        """What the form shows: blocks by their names, templates by their codes."""
        return value if isinstance(value, str) else json.dumps(_named(value), indent=2, ensure_ascii=False)

    def clean(self, value: Any) -> Any:
        steps = json_read(super().clean(value))
        if not isinstance(steps, list) or not steps:
            raise ValidationError("Write a list of steps, with one message at least")
        return steps


def _named(steps: Any) -> Any:
    """Steps with blocks and templates by name, and without what is empty."""
    blocks: dict[Any, str] = dict(Block.objects.values_list("pk", "name"))
    templates: dict[Any, str] = dict(Template.objects.values_list("pk", "code"))
    order = ("tier", "name", "block", "when", "source", "count")

    def tier_shown(tier: Any) -> Any:
        shown = {key: tier[key] for key in order if tier.get(key) not in (None, "", 0)}
        return {**shown, "block": blocks.get(tier.get("block"), tier.get("block"))}

    def step_shown(step: Any) -> Any:
        shown = dict(step)
        if step.get("kind") == "message":
            shown["template"] = templates.get(step.get("template"), step.get("template"))
            shown["slots"] = {slot: [tier_shown(tier) for tier in tiers] for slot, tiers in step["slots"].items()}
        for way in ("then", "else"):
            if way in step:
                shown[way] = [step_shown(one) for one in step[way]]
        return shown

    return [step_shown(step) for step in steps] if isinstance(steps, list) else steps


class OptionalRuleField(RuleField):
    """A rule, or nothing."""

    def clean(self, value: Any) -> Any:
        return super().clean(value) if (value or "").strip() else None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data) != bool(initial) or (bool(data) and super().has_changed(initial, data))


class PlaybookForm(ConflictForm, forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Everything of a playbook that people edit."""

    steps = StepsField()
    event_where = OptionalRuleField(
        required=False,
        label="Only if",
        widget=UnfoldAdminTextareaWidget({"rows": 3, "spellcheck": "false", "class": "font-mono"}),
        help_text='A rule over the properties of the event, such as {"attribute": "value", "gte": 20}. Empty: always.',
    )
    approval_path = forms.MultipleChoiceField(
        label="Must agree",
        choices=[(role.code, role.title) for role in ROLES if role.code.endswith("approver")],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="One person of each role, none of whom edited the playbook or wrote content that is new in it.",
    )
    send_days = forms.MultipleChoiceField(
        label="Only on",
        required=False,
        choices=[(day, day.title()) for day in WEEKDAYS],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="On the person's wall, if their time zone is known. None: every day.",
    )
    blocked_items = LinesField(
        required=False,
        label="Never show",
        widget=UnfoldAdminTextareaWidget({"rows": 3, "spellcheck": "false"}),
        help_text="Numbers of items, one a line.",
    )
    seen_at = forms.CharField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Playbook
        fields = (
            "code",
            "name",
            "description",
            "kpi",
            "trigger",
            "mail_kind",
            "schedule",
            "time_zone",
            "own_zone",
            "event_name",
            "event_where",
            "entry_existing",
            "again_after_days",
            "audience",
            "brand",
            "steps",
            "purpose",
            "topic",
            "channel",
            "budget",
            "cap_count",
            "cap_days",
            "quiet_start",
            "quiet_end",
            "send_days",
            "placement",
            "priority",
            "holdout_percent",
            "heeds_tickets",
            "blocked_items",
            "send_within_hours",
            "approval_path",
        )
        widgets = {
            "schedule": UnfoldAdminTextInputWidget(attrs={"placeholder": "30 9 * * MON"}),
            "event_name": UnfoldAdminTextInputWidget(attrs={"placeholder": "Cart Updated"}),
            "quiet_start": UnfoldAdminTextInputWidget(attrs={"placeholder": "21:00"}),
            "quiet_end": UnfoldAdminTextInputWidget(attrs={"placeholder": "08:00"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["seen_at"] = self.instance.updated_at.isoformat()
            self.initial["steps"] = self.instance.steps or [
                {
                    "kind": "message",
                    "id": ONLY,
                    "name": "",
                    "template": self.instance.template_id,
                    "slots": self.instance.slots,
                }
            ]
        limits = {one["kpi"]: one["limit"] for one in self.instance.guardrails or []}
        for kpi, (words, unit) in GUARDRAILS.items():
            self.fields[f"guard_{kpi}"] = forms.FloatField(
                label=f"{words.capitalize()}{' (' + unit + ')' if unit else ''}",
                required=False,
                min_value=0.01,
                max_value=100,
                initial=limits.get(kpi),
                widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
                help_text="At most. Declared and shown; measured once there are analytics.",
            )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.instance.pk and (seen_at := data.get("seen_at")):
            latest = Playbook.objects.values_list("updated_at", flat=True).get(pk=self.instance.pk)
            if seen_at != latest.isoformat():
                self.add_error(
                    None,
                    "Somebody else saved this playbook while you edited it. Open it in a second window, take over what "
                    "you still want, and save there.",
                )
        if (data.get("cap_count") is None) != (data.get("cap_days") is None):
            self.add_error("cap_count", "Give both numbers of the cap, or none")
        if data.get("trigger") == Playbook.Trigger.SCHEDULE and not data.get("schedule"):
            self.add_error("schedule", "A playbook on a schedule needs one")
        if data.get("trigger") == Playbook.Trigger.EVENT and not data.get("event_name"):
            self.add_error("event_name", "Name the event that starts it")
        if data.get("trigger") == Playbook.Trigger.SYSTEM and not data.get("mail_kind"):
            self.add_error("mail_kind", "Say which system mail it is")
        quiet = data.get("quiet_start"), data.get("quiet_end")
        if (quiet[0] is None) != (quiet[1] is None) or (quiet[0] is not None and quiet[0] == quiet[1]):
            self.add_error("quiet_start", "Give both ends of the quiet hours, not the same, or none")
        return data

    def guardrails(self) -> list[dict[str, Any]]:
        """The limits that were given."""
        given = {kpi: self.cleaned_data.get(f"guard_{kpi}") for kpi in GUARDRAILS}
        return [{"kpi": kpi, "limit": limit} for kpi, limit in given.items() if limit is not None]

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # not in the stubs
        # `playbook_problems` says more than "blank"
        return excluded | {"steps", "slots", "template", "event_where", "approval_path"}

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # not in the stubs
        if self.errors:
            return
        self.instance.guardrails = self.guardrails()
        for problem in playbook_problems(self.instance):
            if problem.field == "owner":  # whoever saves it, set by the service
                continue
            field = {"slots": "steps", "template": "steps"}.get(problem.field, problem.field)
            self.add_error(field if field in self.fields else None, str(problem))


class ConfirmForm(forms.Form):
    """A button to press."""


class SubmitForm(ConfirmForm):
    """Handing in."""

    note = forms.CharField(
        label="Note for those who are asked",
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


class RunForm(ConfirmForm):
    """Starting a run."""

    occasion = forms.CharField(
        label="Occasion",
        max_length=120,
        widget=UnfoldAdminTextInputWidget(),
        help_text="What this is for, such as autumn-2026. Nobody gets two messages for one occasion, ever.",
    )


class CopyForm(ConfirmForm):
    """Copying a ready-made playbook."""

    name = forms.CharField(
        label="Name of your playbook",
        max_length=80,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Its blocks and its audience are called after it.",
    )
    brand = forms.ModelChoiceField(queryset=Brand.objects.order_by("name"), widget=UnfoldAdminSelectWidget())
    market = forms.ModelChoiceField(
        queryset=Market.objects.none(),
        widget=UnfoldAdminSelectWidget(),
        help_text="Its blocks belong to this market: who works there may edit them.",
    )

    @classmethod
    def of(cls, user: User) -> type["CopyForm"]:
        """The form for somebody: with their markets; the central team may also leave it to all of them."""

        class Own(cls):  # type: ignore[valid-type,misc]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                field = self.fields["market"]
                field.queryset = markets_of(user).order_by("name")
                field.required = not user.has_perm("content.add_block")
                field.empty_label = None if field.required else "All markets"

        return Own
