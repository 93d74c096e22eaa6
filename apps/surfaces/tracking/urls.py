from django.urls import path

from . import following, hooks, inbound_hooks, sms_hooks

app_name = "tracking"
urlpatterns = [
    path("l/<str:token>/<int:number>", following.follow, name="follow"),
    path("l/<str:token>/o.gif", following.opened, name="opened"),
    path("d/<str:token>/<int:number>", following.follow_answer, name="follow-answer"),
    path("hooks/mail/<slug:provider>", hooks.mail_hook, name="mail-hook"),
    path("hooks/in/<slug:code>", inbound_hooks.inbound_hook, name="inbound-hook"),
    path("hooks/sms/<slug:provider>/reply", sms_hooks.sms_reply, name="sms-reply"),
    path("hooks/sms/<slug:provider>/<uuid:message_id>", sms_hooks.sms_status, name="sms-status"),
]
