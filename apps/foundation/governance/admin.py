"""Reviews and the audit log, to be read. Answering a review is a page of the console."""

import json
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import RangeDateTimeFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.foundation.accounts.models import User
from apps.foundation.accounts.roles import ROLE_BY_CODE
from apps.foundation.accounts.services import role_codes
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.clock import now

from .export import audit_csv
from .models import Approval, ApprovalPath, AuditEntry, Review
from .pages import GovernedAdmin
from .registry import workflows
from .rules import roles_asked, steps_problem
from .selectors import path_words, review_standing, reviews_newest
from .services import audit_record
from .workflow import path_save

_STATE_COLOURS = {
    Review.State.OPEN: "info",
    Review.State.APPROVED: "success",
    Review.State.REFUSED: "warning",
    Review.State.VOID: "danger",
}


class ApprovalInline(TabularInline):
    """What was said in a review."""

    model = Approval
    fields = ("role", "verdict", "comment", "by", "at")
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class WaitsForMe(admin.SimpleListFilter):
    """Reviews that the one who looks may answer."""

    title = "waits for"
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("me", "me"), ("anybody", "anybody")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        if self.value() is None:
            return queryset
        waiting = queryset.filter(state=Review.State.OPEN)
        if self.value() == "anybody" or not isinstance(request.user, User):
            return waiting
        user, roles = request.user, role_codes(request.user)
        mine = [review.pk for review in waiting if review_standing(review=review, user=user, roles=roles).mine]
        return waiting.filter(pk__in=mine)


@admin.register(Review)
class ReviewAdmin(ReadOnlyAdmin):
    """Reviews, those that wait first."""

    empty_text = "Work that is handed in for approval appears here, with what would go out and who has to agree."
    list_display = ("subject_label", "state_shown", "waits_for", "requested_by", "requested_at")
    list_filter = (WaitsForMe, "state")
    search_fields = ("subject_label", "note", "digest")
    ordering = ()  # as `reviews_newest` has them
    fieldsets = (
        (None, {"fields": ("subject_label", "state", "waits_for", "answer", "note")}),
        ("What exactly", {"classes": ("min-w-0",), "fields": ("subject_link", "digest_shown", "path_shown")}),
        ("Who and when", {"fields": ("requested_by", "requested_at", "closed_at")}),
    )
    readonly_fields = ("waits_for", "answer", "subject_link", "digest_shown", "path_shown")
    inlines = (ApprovalInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Review]:
        return reviews_newest()

    @display(description="State", label=_STATE_COLOURS)  # type: ignore[untyped-decorator]  # unfold has no types
    def state_shown(self, review: Review) -> tuple[str, str]:
        return review.state, review.get_state_display()

    @admin.display(description="Waits for")
    def waits_for(self, review: Review) -> str:
        given = [answer.role for answer in review.approvals.all() if answer.verdict == Approval.Verdict.APPROVE]
        if review.state != Review.State.OPEN:
            return "nobody"
        return ", ".join(map(_title, roles_asked(review.path, given)))

    @admin.display(description="Digest")
    def digest_shown(self, review: Review) -> str:
        return format_html('<span class="t-digest">{}</span>', review.digest)

    @admin.display(description="Must agree")
    def path_shown(self, review: Review) -> str:
        return path_words(review.path)

    @admin.display(description="Answer")
    def answer(self, review: Review) -> str:
        try:
            url = reverse("console:review", args=[review.pk])
        except NoReverseMatch:  # governance stands without the console
            return "-"
        return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">Open the review</a>', url)

    @admin.display(description="Subject")
    def subject_link(self, review: Review) -> str:
        kind = review.content_type
        try:
            url = reverse(f"admin:{kind.app_label}_{kind.model}_change", args=[review.object_id])
        except NoReverseMatch:
            return review.subject_label
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, review.subject_label
        )


def _title(role: str) -> str:
    return ROLE_BY_CODE[role].title if role in ROLE_BY_CODE else role


class ActionNamespace(admin.SimpleListFilter):
    """Audit entries by the beginning of their action."""

    title = "kind of action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        actions = AuditEntry.objects.order_by().values_list("action", flat=True).distinct()
        found = sorted({action.rpartition(".")[0] or action for action in actions})
        return [(namespace, namespace) for namespace in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        wanted = self.value()
        return queryset if not wanted else queryset.filter(action__startswith=f"{wanted}.")


class RequestWanted(admin.SimpleListFilter):
    """All that one request did; reached from the link beside an entry."""

    title = "request"
    parameter_name = "request"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        wanted = request.GET.get("request", "")
        return [(wanted, f"request {wanted[-12:]}")] if wanted else [("", "")]

    def has_output(self) -> bool:
        return bool(self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        try:
            wanted = UUID(self.value() or "")
        except ValueError:
            return queryset.none() if self.value() else queryset
        return queryset.filter(request_id=wanted)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what. Append-only, in the database too."""

    empty_text = "Who did what, and when, is put down here for good."
    list_display = ("at", "actor", "action", "object_label", "request_shown")
    list_filter = (
        ("at", RangeDateTimeFilter),
        ActionNamespace,
        "content_type",
        ("actor", RelatedDropdownFilter),
        RequestWanted,
    )
    list_filter_submit = True
    list_select_related = ("actor", "content_type")
    search_fields = ("action", "object_label", "object_id", "actor__email", "request_id")
    search_help_text = "By action, object, address of the person, or request id"
    date_hierarchy = "at"
    fields = ("at", "actor", "action", "content_type", "object_id", "object_label", "request_shown", "data_shown")
    readonly_fields = ("data_shown", "request_shown")
    actions_list = ("export",)

    @admin.display(description="Request")
    def request_shown(self, entry: AuditEntry) -> str:
        if entry.request_id is None:
            return "-"
        url = reverse("admin:governance_auditentry_changelist")
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500" href="{}?request={}" title="{}">all it did</a>',
            url,
            entry.request_id,
            entry.request_id,
        )

    @action(description="Export as CSV", url_path="export", icon="download")  # type: ignore[untyped-decorator]
    def export(self, request: HttpRequest) -> StreamingHttpResponse:
        """What the list shows, with its filters and search, as it was when asked for."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = request.GET.copy()
        asked.pop("p", None)
        request.GET = asked  # type: ignore[assignment]  # a copy, without the page
        found = self.get_changelist_instance(request).get_queryset(request).order_by("-id")
        newest = AuditEntry.objects.order_by("-id").values_list("id", flat=True).first()
        audit_record(
            action="governance.audit.exported", actor=cast(User, request.user), data={"filters": dict(asked.lists())}
        )
        rows = found.filter(id__lte=newest) if newest is not None else found
        answer = StreamingHttpResponse(audit_csv(rows), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="audit-{now():%Y-%m-%d}.csv"'
        answer["Cache-Control"] = "no-store"
        return answer

    @admin.display(description="Details")
    def data_shown(self, entry: AuditEntry) -> str:
        return format_html(
            '<pre class="whitespace-pre-wrap">{}</pre>', json.dumps(entry.data, indent=2, ensure_ascii=False)
        )


class PathForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """An approval path: a step a line, its roles with commas between."""

    steps_text = forms.CharField(
        label="Who must agree",
        widget=UnfoldAdminTextareaWidget({"rows": 4, "spellcheck": "false"}),
        help_text="A step a line, in order; in a line the roles that answer in any order, with commas between. Roles: "
        + ", ".join(ROLE_BY_CODE),
    )

    class Meta:
        model = ApprovalPath
        fields = ("name", "kind", "tag", "active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.initial["steps_text"] = "\n".join(", ".join(step) for step in self.instance.steps)
        if "kind" in self.fields:
            kinds = [ContentType.objects.get_for_model(flow.head).pk for flow in workflows()]
            field = cast(forms.ModelChoiceField, self.fields["kind"])  # type: ignore[type-arg]
            field.queryset = ContentType.objects.filter(pk__in=kinds)
            field.empty_label = "Any kind"

    def clean_steps_text(self) -> str:
        """The steps, read; a role that does not exist is told."""
        lines = self.cleaned_data["steps_text"].splitlines()
        steps = [[role.strip() for role in line.split(",") if role.strip()] for line in lines if line.strip(" ,")]
        if problem := steps_problem(steps, tuple(ROLE_BY_CODE)):
            raise forms.ValidationError(problem)
        self.instance.steps = steps
        return "\n".join(", ".join(step) for step in steps)

    def clean_tag(self) -> str:
        """A tag as blocks have it."""
        return str(self.cleaned_data["tag"]).strip()


@admin.register(ApprovalPath)
class ApprovalPathAdmin(GovernedAdmin, ModelAdmin):
    """Who must agree to what. Reviews that are open keep the path they were asked with."""

    empty_text = "An approval path says who has to agree to what: everything by the brand, offers also by the law."
    form = PathForm
    list_display = ("name", "kind_shown", "tag_shown", "steps_shown", "active", "updated_at")
    list_select_related = ("kind",)
    fields = ("name", "kind", "tag", "steps_text", "active")
    readonly_fields = ("steps_shown",)
    search_fields = ("name", "tag")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        edits = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ("name", "kind", "tag", "steps_text" if edits else "steps_shown", "active")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # it is switched off, so that its history stays

    @admin.display(description="Kind")
    def kind_shown(self, path: ApprovalPath) -> str:
        return path.kind.name.capitalize() if path.kind is not None else "Any kind"

    @admin.display(description="Tag")
    def tag_shown(self, path: ApprovalPath) -> str:
        return path.tag or "any"

    @admin.display(description="Who must agree")
    def steps_shown(self, path: ApprovalPath) -> str:
        return path_words(path.steps)

    def save_model(self, request: HttpRequest, obj: ApprovalPath, form: Any, change: bool) -> None:
        """Through the service, which keeps its history and the audit log."""
        saved = path_save(
            path_id=obj.pk,
            by=cast(User, request.user),
            name=obj.name,
            kind=obj.kind,
            tag=obj.tag,
            steps=obj.steps,
            active=obj.active,
        )
        obj.pk = saved.pk
        waiting = Review.objects.filter(state=Review.State.OPEN).count()
        if waiting:
            messages.info(request, f"Open reviews ({waiting}) go on with the path they were asked with.")
