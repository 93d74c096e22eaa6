from django.urls import path

from . import following

app_name = "tracking"
urlpatterns = [
    path("l/<str:token>/<int:number>", following.follow, name="follow"),
    path("l/<str:token>/o.gif", following.opened, name="opened"),
]
