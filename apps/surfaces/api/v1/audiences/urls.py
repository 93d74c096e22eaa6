"""Addresses of audiences."""

from django.urls import path

from . import views

urlpatterns = [
    path("audiences", views.AudiencesView.as_view(), name="audiences"),
    path("audiences/bulk", views.AudiencesBulkView.as_view(), name="audiences-bulk"),
    path("audiences/count", views.RuleCountView.as_view(), name="audiences-count"),
    path("audiences/rule", views.RuleFormView.as_view(), name="audiences-rule"),
    path("audiences/<int:audience_id>", views.AudienceView.as_view(), name="audience"),
    path("audiences/<int:audience_id>/count", views.AudienceCountView.as_view(), name="audience-count"),
    path(
        "audiences/<int:audience_id>/people/<int:profile_id>",
        views.AudiencePersonView.as_view(),
        name="audience-person",
    ),
]
