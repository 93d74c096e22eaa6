from django.apps import AppConfig


class ChannelsConfig(AppConfig):
    name = "apps.delivery.channels"
