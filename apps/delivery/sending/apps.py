from django.apps import AppConfig


class SendingConfig(AppConfig):
    name = "apps.delivery.sending"

    def ready(self) -> None:
        from apps.data.profiles.vault import sealed_column
        from apps.decisioning.decisions.registry import contact_counters, item_counters, message_counters, run_holds

        from . import receivers  # noqa: F401  # connects them; models are loaded only now
        from .caps import contacts_count, items_count
        from .following import following_register
        from .merging import merging_register
        from .privacy import privacy_register
        from .selectors import messages_count, runs_paused

        sealed_column("sending_eventraw", "sealed", key="event_id", row="event_id::text")
        message_counters.append(messages_count)
        contact_counters.append(contacts_count)
        item_counters.append(items_count)
        run_holds.append(runs_paused)
        merging_register()
        privacy_register()
        following_register()
