"""Where a client learns of itself."""

from django.urls import path

from . import views

urlpatterns = [path("client", views.ClientView.as_view(), name="client")]
