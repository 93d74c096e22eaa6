from django.urls import path
from django.views.generic import RedirectView

from . import views

app_name = "console"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("runs/", views.runs, name="runs"),
    path("runs/<int:run_id>/", views.run, name="run"),
    path("runs/<int:run_id>/pause/", views.run_pause, name="run_pause"),
    path("runs/<int:run_id>/resume/", views.run_resume, name="run_resume"),
    path("runs/<int:run_id>/cancel/", views.run_stop, name="run_stop"),
    path("runs/<int:run_id>/messages/", views.run_message_list, name="run_messages"),
    path("messages/<uuid:decision_id>/", views.message, name="message"),
    path("reviews/", views.reviews, name="reviews"),
    path("reviews/<int:review_id>/", views.review, name="review"),
]
