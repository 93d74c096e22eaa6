"""Addresses of decisions."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path

from . import asking, views

_list: Callable[..., HttpResponseBase] = views.DecisionsView.as_view()


@wraps(_list)
def decisions(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
    """Asking for decisions goes past DRF; all else of this address is DRF's."""
    return asking.decisions_ask(request) if request.method == "POST" else _list(request, **kwargs)


decisions.__dict__.pop("view_class")  # it is more than that one
decisions.scopes = {**views.DecisionsView.scopes, **asking.decisions_ask.scopes}  # type: ignore[attr-defined]  # for the matrix

urlpatterns = [
    path("decisions", decisions, name="decisions"),
    path("decisions/<uuid:decision_id>", views.DecisionView.as_view(), name="decision"),
]
