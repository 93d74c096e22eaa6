"""Addresses of playbooks."""

from django.urls import path

from . import views

urlpatterns = [
    path("playbooks", views.PlaybooksView.as_view(), name="playbooks"),
    path("playbooks/<int:playbook_id>", views.PlaybookView.as_view(), name="playbook"),
    path("playbooks/<int:playbook_id>/versions", views.PlaybookVersionsView.as_view(), name="playbook-versions"),
    path(
        "playbooks/<int:playbook_id>/versions/<int:number>",
        views.PlaybookVersionView.as_view(),
        name="playbook-version",
    ),
]
