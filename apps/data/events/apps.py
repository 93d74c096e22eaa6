from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "apps.data.events"
    verbose_name = "Events and orders"

    def ready(self) -> None:
        from .merging import merging_register  # models are loaded only now
        from .orders import orders_follow
        from .privacy import privacy_register
        from .registry import batch_steps, join_steps

        merging_register()
        batch_steps.append(orders_follow)
        join_steps.append(orders_follow)
        privacy_register()
