from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "apps.data.events"
    verbose_name = "Events and orders"
