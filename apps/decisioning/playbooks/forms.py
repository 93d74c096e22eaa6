"""The playbook's form. Slots are written as JSON with blocks by name; every problem stands beside its field."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.decisioning.audiences.rules import rule_parse, rule_to_json
from apps.decisioning.content.models import Block
from apps.foundation.accounts.roles import ROLES
from apps.foundation.core.conflicts import ConflictForm

from .models import Playbook
from .specs import playbook_problems

_MAX_CHARACTERS = 100_000
_SLOTS_HELP = (
    "For each slot of the template its tiers, best first. A tier names a block, and when it is shown: "
    '"when" is a rule as in audiences, "source" a list of recommendations (neighbours, category, country, shop) that '
    'must give "count" items. The last tier is static, without either.'
)


class SlotsField(forms.CharField):
    """JSON, read into Python; a fault is told with its line."""

    def __init__(self) -> None:
        super().__init__(
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 28, "spellcheck": "false", "class": "font-mono"}),
            help_text=_SLOTS_HELP,
            max_length=_MAX_CHARACTERS,
        )

    def prepare_value(self, value: object) -> object:
        """What the form shows: blocks by their names."""
        if isinstance(value, str):
            return value
        return json.dumps(_named(value), indent=2, ensure_ascii=False)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return json.loads(text)
        except json.JSONDecodeError as fault:
            message = f"Line {fault.lineno}, column {fault.colno}: this is not JSON yet ({fault.msg})"
            raise ValidationError(message) from None
        except (RecursionError, ValueError):
            raise ValidationError("This is nested too deep, or holds a number too large") from None


def _named(slots: Any) -> Any:
    """Slots with blocks by name, and without what is empty."""
    if not isinstance(slots, dict):
        return slots
    names: dict[Any, str] = dict(Block.objects.values_list("pk", "name"))

    def shown(key: str, value: Any) -> Any:
        if key == "block":
            return names.get(value, value)
        return rule_to_json(rule_parse(value)) if key == "when" else value

    order = ("tier", "name", "block", "when", "source", "count")
    return {
        slot: [{key: shown(key, tier[key]) for key in order if tier.get(key) not in (None, "", 0)} for tier in tiers]
        for slot, tiers in slots.items()
    }


class PlaybookForm(ConflictForm, forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Everything of a playbook that people edit."""

    slots = SlotsField()
    approval_path = forms.MultipleChoiceField(
        label="Must agree",
        choices=[(role.code, role.title) for role in ROLES if role.code.endswith("approver")],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="One person of each role, none of whom edited the playbook or wrote content that is new in it.",
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
            "schedule",
            "time_zone",
            "audience",
            "brand",
            "template",
            "slots",
            "purpose",
            "channel",
            "budget",
            "cap_count",
            "cap_days",
            "send_within_hours",
            "approval_path",
        )
        widgets = {"schedule": UnfoldAdminTextInputWidget(attrs={"placeholder": "30 9 * * MON"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["seen_at"] = self.instance.updated_at.isoformat()

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
        return data

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # not in the stubs
        return excluded | {"slots", "approval_path"}  # `playbook_problems` says more than "blank"

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # not in the stubs
        if self.errors:
            return
        for problem in playbook_problems(self.instance):
            if problem.field == "owner":  # whoever saves it, set by the service
                continue
            self.add_error(problem.field if problem.field in self.fields else None, str(problem))


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
