from django.urls import path

from . import following, hooks

app_name = "tracking"
urlpatterns = [
    path("l/<str:token>/<int:number>", following.follow, name="follow"),
    path("l/<str:token>/o.gif", following.opened, name="opened"),
    path("hooks/mail/<slug:provider>", hooks.mail_hook, name="mail-hook"),
]
