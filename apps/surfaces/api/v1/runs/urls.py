"""Addresses of runs, and of journeys."""

from django.urls import path

from . import views

urlpatterns = [
    path("journeys", views.JourneysView.as_view(), name="journeys"),
    path("runs", views.RunsView.as_view(), name="runs"),
    path("runs/<int:run_id>", views.RunView.as_view(), name="run"),
    path("runs/<int:run_id>/pause", views.RunPauseView.as_view(), name="run-pause"),
    path("runs/<int:run_id>/resume", views.RunResumeView.as_view(), name="run-resume"),
    path("runs/<int:run_id>/pace", views.RunPaceView.as_view(), name="run-pace"),
    path("runs/<int:run_id>/cancel", views.RunCancelView.as_view(), name="run-cancel"),
]
