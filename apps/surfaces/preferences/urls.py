from django.urls import path

from . import (
    addresses,
    confirming,
    finding,
    looking,
    platforms,
    pushing,
    rights,
    signing_up,
    surveys,
    views,
    well_known,
)

app_name = "preferences"
urlpatterns = [
    path("p/", finding.find, name="find"),
    path("p/<str:token>", views.preferences, name="preferences"),
    path("p/<str:token>/data", rights.data, name="data"),
    path("push/worker.js", pushing.worker, name="push-worker"),
    path("p/<str:token>/push", pushing.push, name="push"),
    path("x/<str:token>", rights.export, name="export"),
    path("u/<str:token>", views.unsubscribe, name="unsubscribe"),
    path("hooks/consent/<uuid:platform_id>", platforms.platform_hook, name="consent-platform"),
    path(".well-known/gpc.json", well_known.gpc_support, name="gpc"),
    path("c/<str:token>", confirming.confirm, name="confirm"),
    path("n/<str:token>", addresses.new_address, name="new-address"),
    path("b/<str:token>", addresses.take_back, name="take-back"),
    path("look/<str:accent>.css", looking.look, name="look"),
    path("t/<str:token>", views.trial, name="trial"),
    path("sign-up/<slug:code>", signing_up.sign_up, name="sign-up"),
    path("sign-up/<slug:code>/address", signing_up.sign_up_address, name="sign-up-address"),
    path("sign-up/<slug:code>/thanks", signing_up.sign_up_thanks, name="sign-up-thanks"),
    path("s/<str:token>", surveys.survey, name="survey"),
    path("a/<str:token>/<int:number>", surveys.mail_answer, name="mail-answer"),
]
