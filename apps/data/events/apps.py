from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "apps.data.events"
    verbose_name = "Events and orders"

    def ready(self) -> None:
        from .orders import orders_follow  # models are loaded only now
        from .privacy import privacy_register
        from .registry import batch_steps, join_steps

        batch_steps.append(orders_follow)
        join_steps.append(orders_follow)
        privacy_register()
