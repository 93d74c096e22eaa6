from django.apps import AppConfig


class FeaturesConfig(AppConfig):
    name = "apps.data.features"

    def ready(self) -> None:
        from apps.data.events.registry import batch_steps, join_steps

        from .privacy import privacy_register  # models are loaded only now
        from .tallies import events_tally

        batch_steps.append(events_tally)
        join_steps.append(events_tally)
        privacy_register()
