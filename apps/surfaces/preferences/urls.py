from django.urls import path

from . import finding, rights, views

app_name = "preferences"
urlpatterns = [
    path("p/", finding.find, name="find"),
    path("p/<str:token>", views.preferences, name="preferences"),
    path("p/<str:token>/data", rights.data, name="data"),
    path("x/<str:token>", rights.export, name="export"),
    path("u/<str:token>", views.unsubscribe, name="unsubscribe"),
    path("t/<str:token>", views.trial, name="trial"),
]
