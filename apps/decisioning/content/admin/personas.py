"""Personas in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.decisioning.content.forms import PersonaForm
from apps.decisioning.content.models import Persona

from .saving import FIT, ServiceAdmin


@admin.register(Persona)
class PersonaAdmin(ServiceAdmin):
    """Invented people to look at messages as. Never real customers: of those nothing is kept here."""

    empty_text = (
        "A persona is somebody made up, of whom certain things are known. Template tests show what a message would "
        "look like for them."
    )
    form = PersonaForm
    list_display = ("name", "description", "known_shown", "owner", "updated_at")
    list_select_related = ("owner",)
    search_fields = ("name", "description")
    search_help_text = "name or description"

    def get_fieldsets(self, request: HttpRequest, obj: Persona | None = None) -> Any:
        edits = obj is None or self.has_change_permission(request, obj)
        known = "profile" if edits else "known_shown"
        return [("The persona", {"classes": (FIT,), "fields": ("name", "description", known)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Persona | None = None) -> Any:
        return ("known_shown",)

    @admin.display(description="Known of them")
    def known_shown(self, persona: Persona) -> str:
        return ", ".join(f"{name}: {value}" for name, value in persona.profile.items()) or "nothing"
