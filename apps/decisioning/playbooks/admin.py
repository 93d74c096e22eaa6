"""Playbooks in the admin: from draft to published version. What needs a second thought has a page of its own."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_glance
from apps.foundation.accounts.guarding import GuardedPages
from apps.foundation.accounts.models import User
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError, Invalid
from apps.foundation.governance.pages import GovernedAdmin

from .contracts import PlaybookSpec
from .forms import ConfirmForm, PlaybookForm, RunForm, SubmitForm
from .models import Playbook, PlaybookVersion, Run
from .selectors import (
    TierRow,
    next_instant,
    role_titles,
    rule_words,
    tier_rows_draft,
    tier_rows_pinned,
    validity_news,
)
from .services import (
    PlaybookFields,
    playbook_create,
    playbook_publish,
    playbook_submit,
    playbook_update,
    playbook_withdraw,
    run_start,
)

_GLANCE_MILLISECONDS = 2000
_COLOURS = {
    PlaybookVersion.State.IN_REVIEW: "info",
    PlaybookVersion.State.APPROVED: "info",
    PlaybookVersion.State.PUBLISHED: "success",
    PlaybookVersion.State.REFUSED: "warning",
    PlaybookVersion.State.VOID: "danger",
}
_FIT = "min-w-0"  # of a fieldset, which else grows with its widest table on a phone
_FIELDS = (
    (
        "What and why",
        {"classes": (_FIT,), "fields": ("code", "name", "description", "owner", "kpi", "seen_at")},
    ),
    ("Trigger", {"classes": (_FIT,), "fields": ("trigger", "schedule", "time_zone", "next_shown")}),
    ("Audience", {"classes": (_FIT,), "fields": ("audience", "audience_shown")}),
    ("Content", {"classes": (_FIT,), "fields": ("brand", "template", "slots", "tiers_shown")}),
    (
        "Rules",
        {"classes": (_FIT,), "fields": ("purpose", "channel", "budget", "cap_count", "cap_days", "send_within_hours")},
    ),
    ("Approval", {"classes": (_FIT,), "fields": ("approval_path", "versions_shown")}),
)
_LINK = "text-primary-600 dark:text-primary-500 underline"


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


def _tiers_table(rows: list[TierRow]) -> SafeString:
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


@admin.register(Playbook)
class PlaybookAdmin(GovernedAdmin, GuardedPages, ModelAdmin):
    """Playbooks: edited here, and moved on by the buttons above the form."""

    form = PlaybookForm
    list_display = ("name", "newest_shown", "published_shown", "trigger", "audience", "owner", "updated_at")
    list_select_related = ("published", "audience", "owner")
    list_filter = ("trigger", "purpose", "channel", ("owner", admin.RelatedOnlyFieldListFilter))
    list_per_page = 50
    search_fields = ("name", "code", "description")
    search_help_text = "name, code or description"
    warn_unsaved_form = True
    change_form_before_template = "admin/conflict.html"
    compressed_fields = False
    fieldsets = _FIELDS
    actions_detail = (
        "dry_run", "test_send", "ask_approval", "publish", "start_run", "withdraw", "approval_and_history"
    )  # fmt: skip
    history_submits = False  # asking has a page of its own, which pins and compiles

    def get_queryset(self, request: HttpRequest) -> QuerySet[Playbook]:
        newest = PlaybookVersion.objects.filter(playbook=OuterRef("pk")).order_by("-number")
        return cast("QuerySet[Playbook]", super().get_queryset(request)).annotate(
            newest_number=Subquery(newest.values("number")[:1]), newest_state=Subquery(newest.values("state")[:1])
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its versions and runs are the record of what was sent

    def get_readonly_fields(self, request: HttpRequest, obj: Playbook | None = None) -> Any:
        return ("owner", "audience_shown", "tiers_shown", "versions_shown", "next_shown", "path_shown")

    def get_fieldsets(self, request: HttpRequest, obj: Playbook | None = None) -> Any:
        looked_up = {"audience_shown", "tiers_shown", "versions_shown", "next_shown", "owner"}
        left_out = looked_up if obj is None else set()
        instead: dict[str, str] = {}
        if obj is not None and not self.has_change_permission(request, obj):
            left_out = {"seen_at", "slots"}  # read as a table
            instead = {"approval_path": "path_shown"}
        return [
            (
                title,
                {
                    **options,
                    "fields": tuple(instead.get(name, name) for name in options["fields"] if name not in left_out),
                },
            )
            for title, options in _FIELDS
        ]

    # --- what is shown ---

    @display(description="Newest version", label=_COLOURS)  # type: ignore[untyped-decorator]  # unfold has no types
    def newest_shown(self, playbook: Any) -> tuple[str, str]:
        if playbook.newest_number is None:
            return "", "draft"
        state = PlaybookVersion.State(playbook.newest_state)
        return state, f"v{playbook.newest_number} {state.label}"

    @admin.display(description="Published")
    def published_shown(self, playbook: Playbook) -> str:
        return "no" if playbook.published is None else f"v{playbook.published.number}"

    @admin.display(description="Must agree")
    def path_shown(self, playbook: Playbook) -> str:
        return ", ".join(role_titles(playbook.approval_path))

    @admin.display(description="Next time")
    def next_shown(self, playbook: Playbook) -> str:
        instant = next_instant(playbook=playbook, after=now())
        if instant is None:
            return "Not scheduled. A schedule counts from when a version with it is published."
        return f"{instant:%A, %d %B %Y, %H:%M} UTC, as published"

    @admin.display(description="Who is in it now")
    def audience_shown(self, playbook: Playbook) -> str:
        try:
            rule = rule_parse(playbook.audience.rule)
        except Invalid as fault:
            return f"Its rule can't be read: {fault.message}"
        glance = audience_glance(rule=rule, as_of=now(), size=0, milliseconds=_GLANCE_MILLISECONDS)
        words = rule_words(playbook.audience.rule)
        return (
            f"{words}: {glance.count:,} of {glance.everybody:,} people"
            if glance
            else f"{words} (too many to count here)"
        )

    @admin.display(description="As saved")
    def tiers_shown(self, playbook: Playbook) -> SafeString:
        return _tiers_table(tier_rows_draft(playbook.slots))

    @admin.display(description="Versions")
    def versions_shown(self, playbook: Playbook) -> SafeString:
        rows = [
            (
                reverse("admin:playbooks_playbookversion_change", args=[version.pk]),
                _LINK,
                f"v{version.number}",
                version.get_state_display(),
                version.created_by,
                f"{version.created_at:%Y-%m-%d %H:%M}",
            )
            for version in playbook.versions.select_related("created_by")[:20]
        ]
        if not rows:
            return SafeString("Never handed in")
        body = format_html_join(
            "", '<tr><td><a href="{}" class="{}">{}</a></td><td>{}</td><td>{}</td><td>{}</td></tr>', rows
        )
        return format_html(
            '<div class="t-scroll"><table class="t-table"><thead><tr><th>Version</th><th>State</th><th>Handed in</th>'
            "<th>On</th></tr></thead><tbody>{}</tbody></table></div>",
            body,
        )

    # --- saving ---

    def save_model(self, request: HttpRequest, obj: Playbook, form: Any, change: bool) -> None:
        """Through the services, which check again, keep the audit log and void approvals."""
        by = cast(User, request.user)
        values = {name: form.cleaned_data[name] for name in PlaybookForm.Meta.fields}
        values["slots"] = obj.slots
        fields = cast(PlaybookFields, values)
        if not change:
            obj.pk = playbook_create(by=by, **fields).pk
            obj.refresh_from_db()
            return
        seen_at = form.cleaned_data["seen_at"]
        voided = playbook_update(
            playbook_id=obj.pk, by=by, seen_at=datetime.fromisoformat(seen_at) if seen_at else None, **fields
        )
        for version in voided:
            messages.warning(request, f"{version} was waiting or approved. The edit voids that: ask for approval anew.")
        if not voided and obj.published_id is not None and form.has_changed():
            messages.info(
                request, "What is published goes on as it was agreed to; this edit needs an approval of its own."
            )

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        object_id = args[0] if args else kwargs.get("object_id")
        shown = self.get_object(request, str(object_id)) if object_id and request.method == "GET" else None
        if shown is not None and shown.published is not None and self.has_view_permission(request, shown):
            for news in validity_news(shown.published.spec, now()):
                messages.warning(request, news)
        try:
            return super().changeform_view(request, *args, **kwargs)
        except DomainError as error:  # lost a race between the form's check and the service's
            messages.error(request, error.message)
            return HttpResponseRedirect(request.get_full_path())

    # --- buttons ---

    # Unfold looks rights named in full up in the database at each system check: `migrate` on an empty one would fail.
    def has_publish_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "publish", obj)

    def has_run_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "run", obj)

    def has_rehearse_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("console.view_dryrun")

    def has_test_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("console.make_testsend")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only the buttons that lead anywhere now."""
        playbook = Playbook.objects.filter(pk=object_id).first()
        if playbook is None:
            return []
        held = {"publish": self._approved(playbook) is None, "start_run": not playbook.published_id}
        held["withdraw"] = held["start_run"]
        found = super().get_actions_detail(request, object_id)
        return [button for button in found if not held.get(button.path.replace("-", "_"))]

    def _approved(self, playbook: Playbook) -> PlaybookVersion | None:
        return playbook.versions.filter(state=PlaybookVersion.State.APPROVED).first()

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Dry run", url_path="dry-run", permissions=["rehearse"], icon="science"
    )
    def dry_run(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return HttpResponseRedirect(reverse("console:dry_runs", args=[object_id]))

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Send me a test", url_path="test", permissions=["test"], icon="forward_to_inbox"
    )
    def test_send(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return HttpResponseRedirect(reverse("console:test_send", args=[object_id]))

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Ask for approval",
        url_path="ask-approval",
        permissions=["change"],
        icon="rate_review",
    )
    def ask_approval(self, request: HttpRequest, object_id: int) -> HttpResponse:
        playbook, by = self._found(request, object_id)

        def do(data: dict[str, Any]) -> str:
            version = playbook_submit(playbook_id=playbook.pk, by=by, note=data["note"])
            roles = " and ".join(role_titles(version.spec["approval_path"]))
            messages.success(request, f"{version} was handed in and waits for {roles}.")
            return self._page(playbook)

        return self._ask(
            request,
            playbook,
            Question(
                heading=f"Ask others to agree to {playbook}",
                button="Ask for approval",
                do=do,
                form=SubmitForm,
                lines=[
                    "This takes the newest versions of the template and of all blocks, compiles the message and pins "
                    "everything. From then on any edit voids the approval."
                ],
                rows=[
                    ("Must agree", ", ".join(role_titles(playbook.approval_path))),
                    ("Audience", self.audience_shown(playbook)),
                ],
            ),
        )

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Publish", url_path="publish", permissions=["publish"], icon="publish"
    )
    def publish(self, request: HttpRequest, object_id: int) -> HttpResponse:
        playbook, by = self._found(request, object_id)
        version = self._approved(playbook)

        def do(data: dict[str, Any]) -> str:
            if version is None:
                raise Conflict("playbook_not_approved", "No version is approved: ask for approval first")
            published = playbook_publish(version_id=version.pk, by=by)
            messages.success(request, f"{published} is published.")
            return self._page(playbook)

        rows = [] if version is None else _facts(version)
        return self._ask(
            request,
            playbook,
            Question(
                heading=f"Publish {version or playbook}",
                button="Publish",
                do=do,
                lines=[
                    "From now on it runs as it was agreed to. "
                    + (f"{playbook.published} is retired." if playbook.published is not None else "")
                ],
                rows=rows,
            ),
        )

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Start a run now", url_path="start-run", permissions=["run"], icon="play_arrow"
    )
    def start_run(self, request: HttpRequest, object_id: int) -> HttpResponse:
        playbook, by = self._found(request, object_id)

        def do(data: dict[str, Any]) -> str:
            run = run_start(
                playbook_id=playbook.pk, occasion_key=data["occasion"], trigger=Playbook.Trigger.HAND, by=by
            )
            if run.created:
                messages.success(request, f"The run for {run.occasion_key} has started.")
            else:
                messages.info(request, f"There was a run for {run.occasion_key} already; nothing is sent twice.")
            return reverse("console:run", args=[run.pk])

        return self._ask(
            request,
            playbook,
            Question(
                heading=f"Start a run of {playbook.published or playbook}",
                button="Start the run",
                do=do,
                form=RunForm,
                initial={"occasion": f"{now():%Y-%m-%d}"},
                lines=["It begins at once, and sends to everybody in the audience who agreed to it."],
                rows=[] if playbook.published is None else _facts(playbook.published),
            ),
        )

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Withdraw", url_path="withdraw", permissions=["publish"], icon="block"
    )
    def withdraw(self, request: HttpRequest, object_id: int) -> HttpResponse:
        playbook, by = self._found(request, object_id)

        def do(data: dict[str, Any]) -> str:
            cancelled = playbook_withdraw(playbook_id=playbook.pk, by=by)
            messages.success(request, f"{playbook} is withdrawn; {cancelled} runs were cancelled.")
            return self._page(playbook)

        return self._ask(
            request,
            playbook,
            Question(
                heading=f"Withdraw {playbook.published or playbook}",
                button="Withdraw",
                do=do,
                lines=[
                    "Nothing of it starts any more, and runs that may still send are cancelled. What is out stays out. "
                    "To put it back into service it must be approved anew."
                ],
                danger=True,
            ),
        )

    def _found(self, request: HttpRequest, object_id: int) -> tuple[Playbook, User]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        playbook = Playbook.objects.select_related("published", "audience").filter(pk=object_id).first()
        if playbook is None:
            raise Http404
        return playbook, cast(User, request.user)

    def _page(self, playbook: Playbook) -> str:
        return reverse("admin:playbooks_playbook_change", args=[playbook.pk])

    def _ask(self, request: HttpRequest, playbook: Playbook, question: Question) -> HttpResponse:
        """The confirmation page; a POST does the deed. A refusal is shown on the page, with all its problems."""
        form = question.form(request.POST if request.method == "POST" else None, initial=question.initial)
        trouble, problems = "", []
        if request.method == "POST" and form.is_valid():
            try:
                return HttpResponseRedirect(question.do(form.cleaned_data))
            except DomainError as error:
                trouble, problems = "This can't be done:", _problems(error)
        context = {
            **self.admin_site.each_context(request),
            "title": question.heading,
            "heading": question.heading,
            "opts": self.opts,
            "form": form,
            "lines": question.lines,
            "rows": question.rows,
            "button": question.button,
            "danger": question.danger,
            "back": self._page(playbook),
            "trouble": trouble,
            "problems": problems,
        }
        return render(request, "playbooks/confirm.html", context, status=409 if problems else 200)


def _problems(error: DomainError) -> list[str]:
    """The single problems of an error, or its message."""
    found = []
    for problem in error.extra.get("problems", []):
        if "place" in problem:
            found.append(f"{problem['place']}: {problem['problem']}")
        else:
            line = f", line {problem['line']}" if problem.get("line") else ""
            found.append(f"{problem.get('where', '')}{line}: {problem.get('token', '')} {problem.get('mend', '')}")
    return found or [error.message]


def _facts(version: PlaybookVersion) -> list[tuple[str, str]]:
    spec: PlaybookSpec = version.spec
    cap = spec["cap"]
    trigger = (
        f"{spec['schedule']} in {spec['time_zone']}" if spec["trigger"] == Playbook.Trigger.SCHEDULE else "by hand"
    )
    return [
        ("Audience", rule_words(spec["audience_rule"])),
        ("Trigger", trigger),
        ("Languages", ", ".join(spec["languages"])),
        ("Sender", f"{spec['brand']['from_name']} <{spec['brand']['from_email']}>"),
        ("Purpose and channel", f"{spec['purpose']}, {spec['channel']}"),
        ("Cap", "none" if cap is None else f"{cap['count']} in {cap['days']} days"),
        ("Not sent after", f"{spec['send_within_hours']} hours"),
        ("Main KPI", spec["kpi"]),
        ("Must agree", ", ".join(role_titles(spec["approval_path"]))),
        ("Digest", version.digest),
    ]


@admin.register(PlaybookVersion)
class PlaybookVersionAdmin(ReadOnlyAdmin):
    """Versions as they were handed in: what was agreed to, readable."""

    list_display = ("__str__", "state_shown", "created_by", "created_at", "published_by", "published_at")
    list_select_related = ("playbook", "created_by", "published_by")
    list_filter = ("state",)
    search_fields = ("playbook__name", "playbook__code", "digest")
    ordering = ("-id",)
    fieldsets = (
        (None, {"classes": (_FIT,), "fields": ("playbook", "number", "state", "facts_shown")}),
        ("Content", {"classes": (_FIT,), "fields": ("tiers_shown", "spec_shown")}),
        ("Who and when", {"fields": ("created_by", "created_at", "published_by", "published_at")}),
    )
    readonly_fields = ("facts_shown", "tiers_shown", "spec_shown")

    @display(description="State", label=_COLOURS)  # type: ignore[untyped-decorator]  # unfold has no types
    def state_shown(self, version: PlaybookVersion) -> tuple[str, str]:
        return version.state, version.get_state_display()

    @admin.display(description="What it binds")
    def facts_shown(self, version: PlaybookVersion) -> SafeString:
        facts = _facts(version)
        rows = format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", facts[:-1])
        rows += format_html('<tr><th>{}</th><td><span class="t-digest">{}</span></td></tr>', *facts[-1])
        return format_html('<div class="t-scroll"><table class="t-table"><tbody>{}</tbody></table></div>', rows)

    @admin.display(description="Slots")
    def tiers_shown(self, version: PlaybookVersion) -> SafeString:
        return _tiers_table(tier_rows_pinned(version.spec))

    @admin.display(description="To the letter")
    def spec_shown(self, version: PlaybookVersion) -> SafeString:
        text = json.dumps(version.spec, indent=2, ensure_ascii=False)
        return format_html(
            '<details><summary>Show</summary><pre class="whitespace-pre-wrap break-all">{}</pre></details>', text
        )


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Runs; the page that shows what came of them is the console's."""

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
        return format_html('<a class="{}" href="{}">Open</a>', _LINK, reverse("console:run", args=[run.pk]))
