from django.urls import path

from . import confirming, finding, rights, views, well_known

app_name = "preferences"
urlpatterns = [
    path("p/", finding.find, name="find"),
    path("p/<str:token>", views.preferences, name="preferences"),
    path("p/<str:token>/data", rights.data, name="data"),
    path("x/<str:token>", rights.export, name="export"),
    path("u/<str:token>", views.unsubscribe, name="unsubscribe"),
    path(".well-known/gpc.json", well_known.gpc_support, name="gpc"),
    path("c/<str:token>", confirming.confirm, name="confirm"),
    path("t/<str:token>", views.trial, name="trial"),
]
