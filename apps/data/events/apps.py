from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "apps.data.events"
    verbose_name = "Events and orders"

    def ready(self) -> None:
        from .privacy import privacy_register  # models are loaded only now

        privacy_register()
