"""Versions and runs of playbooks in the admin: looked at, never edited."""

import json

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from apps.foundation.core.admin import ReadOnlyAdmin

from .contracts import PlaybookSpec
from .models import PlaybookVersion, Run
from .pictures import picture_of_spec
from .selectors import tier_rows_pinned
from .showing import COLOURS, FIT, LINK, picture_html, tiers_table, version_facts
from .steps import message_spec, message_steps


@admin.register(PlaybookVersion)
class PlaybookVersionAdmin(ReadOnlyAdmin):
    """Versions as they were handed in: what was agreed to, readable."""

    empty_text = "Each time a playbook is handed in, what it says is put down as a version, which stays as it is."
    list_display = ("__str__", "state_shown", "created_by", "created_at", "published_by", "published_at")
    list_select_related = ("playbook", "created_by", "published_by")
    list_filter = ("state",)
    search_fields = ("playbook__name", "playbook__code", "digest")
    ordering = ("-id",)
    fieldsets = (
        (None, {"classes": (FIT,), "fields": ("playbook", "number", "state", "facts_shown")}),
        ("Steps", {"classes": (FIT,), "fields": ("picture_shown", "tiers_shown", "spec_shown")}),
        ("Who and when", {"fields": ("created_by", "created_at", "published_by", "published_at")}),
    )
    readonly_fields = ("facts_shown", "picture_shown", "tiers_shown", "spec_shown")

    @display(description="State", label=COLOURS)  # type: ignore[untyped-decorator]  # unfold has no types
    def state_shown(self, version: PlaybookVersion) -> tuple[str, str]:
        return version.state, version.get_state_display()

    @admin.display(description="What it binds")
    def facts_shown(self, version: PlaybookVersion) -> SafeString:
        facts = version_facts(version)
        rows = format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", facts[:-1])
        rows += format_html('<tr><th>{}</th><td><span class="t-digest">{}</span></td></tr>', *facts[-1])
        return format_html('<div class="t-scroll"><table class="t-table"><tbody>{}</tbody></table></div>', rows)

    @admin.display(description="Slots")
    def tiers_shown(self, version: PlaybookVersion) -> SafeString:
        spec: PlaybookSpec = version.spec
        if not spec.get("steps"):
            return tiers_table(tier_rows_pinned(spec))
        return format_html_join(
            "",
            "<h4>{}</h4>{}",
            (
                (step["name"] or step_id, tiers_table(tier_rows_pinned(message_spec(spec, step_id))))
                for step_id, step in message_steps(spec).items()
            ),
        )

    @admin.display(description="The steps")
    def picture_shown(self, version: PlaybookVersion) -> SafeString:
        return picture_html(picture_of_spec(version.spec))

    @admin.display(description="To the letter")
    def spec_shown(self, version: PlaybookVersion) -> SafeString:
        text = json.dumps(version.spec, indent=2, ensure_ascii=False)
        return format_html(
            '<details><summary>Show</summary><pre class="whitespace-pre-wrap break-all">{}</pre></details>', text
        )


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Runs; the page that shows what came of them is the console's."""

    empty_text = (
        "A run is one occasion on which a playbook goes out. Publish a playbook, then start it by hand, by its "
        "schedule or over the API."
    )
    list_display = ("__str__", "state", "trigger", "people", "started_by", "created_at", "page")
    list_select_related = ("playbook", "started_by")
    list_filter = ("state", "trigger")
    search_fields = ("occasion_key", "playbook__name")
    ordering = ("-id",)
    fields = (
        "playbook",
        "version",
        "occasion_key",
        "trigger",
        "state",
        "people",
        "as_of",
        "started_by",
        "created_at",
        "decided_at",
        "page",
    )
    readonly_fields = ("page",)

    @admin.display(description="Messages")
    def page(self, run: Run) -> SafeString:
        return format_html('<a class="{}" href="{}">Open</a>', LINK, reverse("console:run", args=[run.pk]))
