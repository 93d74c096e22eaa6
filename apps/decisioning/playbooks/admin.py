"""Playbooks in the admin: from draft to published version. What needs a second thought has a page of its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import get_text_list
from django.utils.translation import get_language_info
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_glance, audience_guess
from apps.decisioning.content.models import Brand
from apps.foundation.accounts.guarding import GuardedPages
from apps.foundation.accounts.models import User
from apps.foundation.core.admin import once
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from apps.foundation.governance.handing import OwnedAdmin
from apps.foundation.governance.pages import GovernedAdmin

from .forms import CopyForm, PlaybookForm, RunForm, SubmitForm, steps_seen
from .models import Playbook, PlaybookVersion
from .pictures import picture_of_draft
from .ready_made import (
    LIFE,
    SYSTEM,
    copy_lacks,
    layout_add,
    layout_missing,
    ready_made_all,
    ready_made_copy,
    ready_made_get,
)
from .records import PlaybookVersionAdmin, RunAdmin
from .rules import GUARDRAILS
from .selectors import journey_counts, next_instant, role_titles, rule_words, tier_rows_draft, validity_news
from .services import (
    PlaybookFields,
    playbook_create,
    playbook_publish,
    playbook_submit,
    playbook_update,
    playbook_withdraw,
    run_start,
)
from .showing import (
    COLOURS,
    FIT,
    LINK,
    Question,
    next_words,
    picture_html,
    prepared_words,
    problems_of,
    tiers_table,
    version_facts,
)
from .steps import steps_walk
from .system_mail import mails_missing

__all__ = ["PlaybookAdmin", "PlaybookVersionAdmin", "RunAdmin"]

_GLANCE_MILLISECONDS = 500
_SAMPLE = 5
_TRIGGER = (
    "trigger", "mail_kind", "schedule", "time_zone", "own_zone", "next_shown", "prepared_shown", "event_name",
    "event_where", "entry_existing", "again_after_days",
)  # fmt: skip
_RULES = (
    "purpose", "topic", "channel", "budget", "cap_count", "cap_days", "quiet_start", "quiet_end", "send_days",
    "placement", "priority", "holdout_percent", "heeds_tickets", "blocked_items", "send_within_hours",
)  # fmt: skip
_FIELDS = (
    (
        "What and why",
        {"classes": (FIT,), "fields": ("code", "name", "description", "owner", "kpi", "seen_at")},
    ),
    ("Trigger", {"classes": (FIT,), "fields": _TRIGGER}),
    ("Audience", {"classes": (FIT,), "fields": ("audience", "audience_shown")}),
    ("Steps", {"classes": (FIT,), "fields": ("brand", "steps", "picture_shown", "under_way_shown", "tiers_shown")}),
    ("Rules", {"classes": (FIT,), "fields": _RULES}),
    ("Guardrails", {"classes": (FIT,), "fields": tuple(f"guard_{kpi}" for kpi in GUARDRAILS)}),
    ("Approval", {"classes": (FIT,), "fields": ("approval_path", "versions_shown")}),
)


def _languages_said(codes: Sequence[str]) -> str:
    """Languages by their English names, as in a sentence."""
    return str(get_text_list([get_language_info(code)["name"] for code in codes], "and"))


@admin.register(Playbook)
class PlaybookAdmin(OwnedAdmin, GovernedAdmin, GuardedPages, ModelAdmin):
    """Playbooks: edited here, and moved on by the buttons above the form."""

    empty_text = (
        "A playbook says when, to whom and what: its trigger, its audience, its template and blocks. Begin with a "
        "ready-made one, or with an empty page."
    )
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
        "dry_run", "test_send", "ask_approval", "publish", "start_run", "withdraw", "approval_and_history",
        "owner_and_sharing",
    )  # fmt: skip
    history_submits = False  # asking has a page of its own, which pins and compiles
    actions_list = ("start_from",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Playbook]:
        newest = PlaybookVersion.objects.filter(playbook=OuterRef("pk")).order_by("-number")
        return cast("QuerySet[Playbook]", super().get_queryset(request)).annotate(
            newest_number=Subquery(newest.values("number")[:1]), newest_state=Subquery(newest.values("state")[:1])
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its versions and runs are the record of what was sent

    def get_readonly_fields(self, request: HttpRequest, obj: Playbook | None = None) -> Any:
        return (
            "owner", "audience_shown", "tiers_shown", "versions_shown", "next_shown", "prepared_shown", "path_shown",
            "picture_shown", "under_way_shown", "guardrails_shown",
        )  # fmt: skip

    def get_fieldsets(self, request: HttpRequest, obj: Playbook | None = None) -> Any:
        looked_up = {"audience_shown", "tiers_shown", "versions_shown", "next_shown", "prepared_shown", "owner"}
        new = {*looked_up, "under_way_shown", "picture_shown"}
        left_out = new if obj is None else {"picture_shown"}  # the editor has its own
        instead: dict[str, str] = {}
        if obj is not None and not self.has_change_permission(request, obj):
            guards = [f"guard_{kpi}" for kpi in GUARDRAILS]
            left_out = {"seen_at", "steps", *guards[1:]}  # read as a picture and a table
            instead = {"approval_path": "path_shown", guards[0]: "guardrails_shown"}
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

    @display(description="Newest version", label=COLOURS)  # type: ignore[untyped-decorator]  # unfold has no types
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
    @once
    def next_shown(self, playbook: Playbook) -> str:
        return next_words(playbook, next_instant(playbook=playbook, after=now()))

    @admin.display(description="Made ahead")
    @once
    def prepared_shown(self, playbook: Playbook) -> SafeString:
        made = playbook.preparations.select_related("version")
        return format_html_join("", "<div>{}</div>", ((words,) for words in prepared_words(playbook, made, at=now())))

    @admin.display(description="Who is in it now")
    @once
    def audience_shown(self, playbook: Playbook) -> str:
        try:
            rule = rule_parse(playbook.audience.rule)
        except Invalid as fault:
            return f"Its rule can't be read: {fault.message}"
        glance = audience_glance(rule=rule, as_of=now(), size=_SAMPLE, milliseconds=_GLANCE_MILLISECONDS)
        words = rule_words(playbook.audience.rule)
        if glance is None:
            about = audience_guess(rule=rule, as_of=now(), milliseconds=_GLANCE_MILLISECONDS)
            return f"{words}: {about} of {about.everybody:,} people" if about else f"{words} (too many to count here)"
        some = ", ".join(f"profile {pk}" for pk in glance.sample)
        return f"{words}: {glance.count:,} of {glance.everybody:,} people" + (f", such as {some}" if some else "")

    @admin.display(description="As saved")
    def tiers_shown(self, playbook: Playbook) -> SafeString:
        messages_of = [step for _, step in steps_walk(playbook.steps) if step.get("kind") == "message"]
        if not messages_of:
            return tiers_table(tier_rows_draft(playbook.slots))
        parts = [
            format_html(
                "<h4>{}</h4>{}",
                step.get("name") or step.get("id", "Message"),
                tiers_table(tier_rows_draft(step.get("slots"))),
            )
            for step in messages_of
        ]
        return format_html_join("", "{}", ((part,) for part in parts))

    @admin.display(description="The steps")
    def picture_shown(self, playbook: Playbook) -> SafeString:
        return picture_html(picture_of_draft(playbook))

    @admin.display(description="Who is under way")
    @once
    def under_way_shown(self, playbook: Playbook) -> str:
        counts = journey_counts(playbook)
        if not counts:
            return "Nobody has begun its steps yet."
        return ", ".join(f"{count:,} {words}" for words, count in counts)

    @admin.display(description="Guardrails")
    def guardrails_shown(self, playbook: Playbook) -> str:
        found = [f"{GUARDRAILS[one['kpi']][0]}: at most {one['limit']:g}" for one in playbook.guardrails]
        return "; ".join(found) or "none"

    @admin.display(description="Versions")
    @once
    def versions_shown(self, playbook: Playbook) -> SafeString:
        rows = [
            (
                reverse("admin:playbooks_playbookversion_change", args=[version.pk]),
                LINK,
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
        values |= {"steps": obj.steps, "slots": obj.slots, "template": obj.template, "guardrails": obj.guardrails}
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

    def get_form(self, request: HttpRequest, obj: Playbook | None = None, change: bool = False, **kwargs: Any) -> Any:
        guards = {f"guard_{kpi}" for kpi in GUARDRAILS}  # made by the form itself
        if kwargs.get("fields"):
            kwargs["fields"] = [name for name in kwargs["fields"] if name not in guards]
        form = super().get_form(request, obj, change, **kwargs)
        if "steps" in form.base_fields:
            url = reverse(f"{self.admin_site.name}:playbooks_playbook_steps_preview")
            form.base_fields["steps"].widget.preview_url = url
        return form

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("steps-preview/", view(require_POST(self.steps_preview)), name="playbooks_playbook_steps_preview"),
            path("ready-made/", view(self.gallery), name="playbooks_playbook_ready_made"),
            path("ready-made/layout/", view(require_POST(self.layout)), name="playbooks_playbook_ready_made_layout"),
            path("ready-made/<str:code>/", view(self.copy), name="playbooks_playbook_ready_made_copy"),
            *super().get_urls(),
        ]

    def steps_preview(self, request: HttpRequest) -> HttpResponse:
        """The picture of the steps in the form, and what is wrong with them: a fragment for the form."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        return render(request, "playbooks/steps_picture.html", steps_seen(request.POST.get("steps") or "[]"))

    def gallery(self, request: HttpRequest) -> HttpResponse:
        """What there is to begin from."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Start from a ready-made playbook",
            "opts": self.opts,
            "groups": [
                {"code": group, "found": ready_made_all(group), "missing": layout_missing(group)}
                for group in (LIFE, SYSTEM)
            ],
            "there": set(Playbook.Mail.values) - {kind.value for kind in mails_missing()},
            "lacking": copy_lacks(cast(User, request.user)),
            "may_add_layout": request.user.has_perm("content.add_template")
            and request.user.has_perm("content.add_blocktype"),
        }
        return render(request, "playbooks/ready_made.html", context)

    def layout(self, request: HttpRequest) -> HttpResponse:
        """Add the template that they use."""
        try:
            template = layout_add(by=cast(User, request.user), group=request.POST.get("group", LIFE))
            messages.success(request, f"The template {template} is there. Marketers can copy the playbooks now.")
        except NotAllowed as error:
            raise PermissionDenied from error
        except DomainError as error:
            messages.error(request, error.message)
        return HttpResponseRedirect(reverse("admin:playbooks_playbook_ready_made"))

    def copy(self, request: HttpRequest, code: str) -> HttpResponse:
        """Make a draft of one's own."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            found = ready_made_get(code)
        except NotFound as error:
            raise Http404 from error
        by = cast(User, request.user)

        def do(data: dict[str, Any]) -> str:
            playbook = ready_made_copy(code=code, brand=data["brand"], name=data["name"], by=by, market=data["market"])
            messages.success(request, f"{playbook} is a draft of your own now, with its blocks and audience.")
            return self._page(playbook)

        question = Question(
            heading=f"Copy “{found.name}” and adapt it",
            button="Make my draft",
            do=do,
            form=CopyForm.of(by),
            initial={"name": found.name, "brand": Brand.objects.order_by("pk").first()},
            lines=[
                found.about,
                f"Nothing is sent: it is a draft, and its words are there in {_languages_said(found.languages)}.",
            ],
            rows=[(need.words.capitalize(), "there" if need.there else "not in the data yet") for need in found.needs],
        )
        return self._ask(request, None, question)

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Start from a ready-made playbook", url_path="start-from", icon="auto_stories"
    )
    def start_from(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:playbooks_playbook_ready_made"))

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
        held = {"publish": self._approved(playbook) is None, "withdraw": not playbook.published_id}
        held["start_run"] = playbook.published is None or playbook.published.mail_kind != ""  # that goes by itself
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

        rows = [] if version is None else version_facts(version)
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
                rows=[] if playbook.published is None else version_facts(playbook.published),
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

    def _ask(self, request: HttpRequest, playbook: Playbook | None, question: Question) -> HttpResponse:
        """The confirmation page; a POST does the deed. A refusal is shown on the page, with all its problems."""
        form = question.form(request.POST if request.method == "POST" else None, initial=question.initial)
        trouble, problems = "", []
        if request.method == "POST" and form.is_valid():
            try:
                return HttpResponseRedirect(question.do(form.cleaned_data))
            except DomainError as error:
                trouble, problems = "This can't be done:", problems_of(error)
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
            "back": self._page(playbook) if playbook is not None else reverse("admin:playbooks_playbook_ready_made"),
            "trouble": trouble,
            "problems": problems,
        }
        return render(request, "playbooks/confirm.html", context, status=409 if problems else 200)
