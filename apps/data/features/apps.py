from django.apps import AppConfig


class FeaturesConfig(AppConfig):
    name = "apps.data.features"

    def ready(self) -> None:
        from apps.data.events.orders import orders_steps
        from apps.data.events.registry import batch_steps, join_steps

        from .merging import merging_register
        from .privacy import privacy_register  # models are loaded only now
        from .services import orders_of_events_changed
        from .tallies import events_tally

        merging_register()
        batch_steps.append(events_tally)
        join_steps.append(events_tally)
        orders_steps.append(orders_of_events_changed)
        privacy_register()
