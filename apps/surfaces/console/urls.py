from django.urls import path
from django.views.generic import RedirectView

from . import approving, event_way, keeping, merging, quality, rehearsing, views

app_name = "console"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("runs/", views.runs, name="runs"),
    path("runs/<int:run_id>/", views.run, name="run"),
    path("runs/<int:run_id>/pause/", views.run_pause, name="run_pause"),
    path("runs/<int:run_id>/resume/", views.run_resume, name="run_resume"),
    path("runs/<int:run_id>/pace/", views.run_pace, name="run_pace"),
    path("runs/<int:run_id>/cancel/", views.run_stop, name="run_stop"),
    path("runs/<int:run_id>/messages/", views.run_message_list, name="run_messages"),
    path("messages/<uuid:decision_id>/", views.message, name="message"),
    path("people/<int:profile_id>/", views.person, name="person"),
    path("playbooks/<int:playbook_id>/dry-runs/", rehearsing.dry_run_list, name="dry_runs"),
    path("playbooks/<int:playbook_id>/test/", rehearsing.test_send, name="test_send"),
    path("dry-runs/<uuid:dry_run_id>/", rehearsing.dry_run, name="dry_run"),
    path("dry-runs/<uuid:dry_run_id>/stop/", rehearsing.dry_run_halt, name="dry_run_stop"),
    path("dry-runs/<uuid:dry_run_id>/go-on/", rehearsing.dry_run_resume, name="dry_run_go_on"),
    path("dry-runs/<uuid:dry_run_id>/samples/<int:position>/", rehearsing.dry_run_sample, name="dry_run_sample"),
    path("tests/<uuid:test_send_id>/", rehearsing.test_sent, name="test_sent"),
    path("reviews/", approving.reviews, name="reviews"),
    path("reviews/<int:review_id>/", approving.review, name="review"),
    path("reviews/<int:review_id>/comment/", approving.comment, name="review_comment"),
    path("events/", event_way.events, name="events"),
    path("merges/", merging.merges, name="merges"),
    path("merges/make/", merging.merge_make, name="merge_make"),
    path("merges/<int:merge_id>/undo/", merging.merge_undo, name="merge_undo"),
    path("merges/candidates/<int:candidate_id>/", merging.candidate_answer, name="candidate_answer"),
    path("quality/", quality.quality, name="quality"),
    path("quality/rows/", quality.quality_rows, name="quality_rows"),
    path("quality/thresholds/", quality.quality_threshold, name="quality_threshold"),
    path("quality/measure/", quality.quality_now, name="quality_now"),
    path("retention/", keeping.retention, name="retention"),
    path("register-of-processing/", keeping.processing, name="processing"),
    path("notices/", approving.notice_list, name="notices"),
    path("notices/unread/", approving.notices_unread, name="notices_unread"),
    path("notices/mail/", approving.notice_mail, name="notice_mail"),
    path("notices/<int:notice_id>/", approving.notice_open, name="notice"),
]
