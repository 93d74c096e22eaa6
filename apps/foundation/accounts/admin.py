"""The people who work in Tessera, in the admin."""

import types
from copy import deepcopy
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminTextInputWidget,
)

from .api_admin import ApiClientAdmin
from .models import User
from .roles import ROLE_BY_CODE, ROLES
from .scopes import SCOPES, ObjectScope
from .services import role_codes, scope_ids, user_manage_refusal, user_roles_set, user_scope_set
from .signals import user_changed

__all__ = ["ApiClientAdmin", "UserAdmin"]

_RIGHTS = "What they may do"

admin.site.unregister(Group)  # roles are kept in step with roles.py; editing them here would be undone by `migrate`


class RolesField(forms.MultipleChoiceField):
    """The roles of a person, each with what it does."""

    def __init__(self) -> None:
        super().__init__(
            choices=[(role.code, f"{role.title}: {role.does}") for role in ROLES],
            widget=UnfoldAdminCheckboxSelectMultipleWidget,
            required=False,
            label="Roles",
            help_text="Someone with two roles still answers a review in one of them only.",
        )


class ObjectsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # not generic at run time
    """The objects of a scope, such as markets, to be given to a person."""

    def __init__(self, scope: ObjectScope) -> None:
        super().__init__(
            scope.model._default_manager.all(),
            widget=UnfoldAdminCheckboxSelectMultipleWidget,
            required=False,
            label=scope.title,
            help_text=scope.help,
        )


def _email_free(email: str, but: int | None) -> str:
    email = email.strip().lower()
    same = User.objects.filter(email__iexact=email)
    if (same if but is None else same.exclude(pk=but)).exists():
        raise forms.ValidationError("Somebody has this address already")
    return email


class PersonAddForm(UserCreationForm):
    """A new member of staff."""

    roles = RolesField()

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name")
        widgets = {
            "email": UnfoldAdminEmailInputWidget,
            "first_name": UnfoldAdminTextInputWidget,
            "last_name": UnfoldAdminTextInputWidget,
        }

    def clean_email(self) -> str:
        return _email_free(self.cleaned_data["email"], None)


class PersonForm(UserChangeForm):
    """A member of staff as they are."""

    roles = RolesField()

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name", "is_active", "password")
        field_classes: dict[str, type[forms.Field]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "roles" in self.fields:
            self.initial["roles"] = sorted(role_codes(self.instance))
        for scope in SCOPES.values():
            if self.instance.pk and scope.key in self.fields:
                self.initial[scope.key] = sorted(scope_ids(self.instance, scope))

    def clean_email(self) -> str:
        return _email_free(self.cleaned_data["email"], self.instance.pk)


def _with_scopes(form: type[forms.Form]) -> type[forms.Form]:
    """A form with a field for each scope."""
    fields: dict[str, Any] = {scope.key: ObjectsField(scope) for scope in SCOPES.values()}
    return cast("type[forms.Form]", types.new_class(form.__name__, (form,), exec_body=lambda body: body.update(fields)))


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Accounts and roles. Nobody can change their own rights here, and no form makes a superuser."""

    empty_text = "Members of staff who may sign in, each with a role."
    form = PersonForm
    add_form = PersonAddForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "full_name", "roles_shown", "scopes_shown", "is_active", "last_login")
    list_filter = ("is_active", "groups")
    list_filter_submit = False
    search_fields = ("email", "first_name", "last_name")
    ordering = ("email",)
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("email", "first_name", "last_name", "password")}),
        (_RIGHTS, {"classes": ("min-w-0",), "fields": ("roles", "is_active")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("email", "first_name", "last_name", "password1", "password2")}),
        (_RIGHTS, {"classes": ("min-w-0",), "fields": ("roles",)}),
    )
    readonly_fields = ("last_login", "date_joined")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        given = ("userobjectpermission_set__permission", "userobjectpermission_set__content_object")
        return super().get_queryset(request).prefetch_related("groups", *given)

    def get_form(self, request: HttpRequest, obj: User | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        kwargs["form"] = _with_scopes(cast("type[forms.Form]", self.add_form if obj is None else self.form))
        return super().get_form(request, obj, **kwargs)

    @admin.display(description="Name")
    def full_name(self, user: User) -> str:
        return user.get_full_name()

    @admin.display(description="Roles")
    def roles_shown(self, user: User) -> str:
        titles = [ROLE_BY_CODE[group.name].title for group in user.groups.all() if group.name in ROLE_BY_CODE]
        return ", ".join(["Superuser"] * user.is_superuser + sorted(titles)) or "none"

    @admin.display(description="Works in")
    def scopes_shown(self, user: Any) -> str:
        codenames = {scope.codename for scope in SCOPES.values()}
        given = [one for one in user.userobjectpermission_set.all() if one.permission.codename in codenames]
        return ", ".join(sorted(str(one.content_object) for one in given)) or "-"

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if not super().has_change_permission(request, obj):
            return False
        assert isinstance(request.user, User)  # noqa: S101  # the line above saw to it
        return obj is None or not user_manage_refusal(user=obj, by=request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what they did stays theirs: switch the account off instead

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return (
                (None, {"fields": ("email", "first_name", "last_name", "roles_shown", "scopes_shown", "is_active")}),
                ("Dates", {"fields": ("last_login", "date_joined")}),
            )
        fieldsets: Any = deepcopy(super().get_fieldsets(request, obj))
        for title, options in fieldsets:
            if title == _RIGHTS:
                first, *rest = options["fields"]
                options["fields"] = (first, *SCOPES, *rest)
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        return (*self.readonly_fields, "roles_shown", "scopes_shown") if obj is not None else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            obj.is_staff = True
        super().save_model(request, obj, form, change)
        user_changed.send(
            User,
            user=obj,
            by=request.user,
            action="changed" if change else "created",
            data={"fields": sorted(set(form.changed_data) - {"password", "password1", "password2", "roles", *SCOPES})},
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        assert isinstance(request.user, User)  # noqa: S101  # staff only come here
        user_roles_set(user_id=form.instance.pk, roles=form.cleaned_data["roles"], by=request.user)
        for key in SCOPES.keys() & form.cleaned_data.keys():
            ids = [str(one.pk) for one in form.cleaned_data[key]]
            user_scope_set(user_id=form.instance.pk, key=key, ids=ids, by=request.user)
