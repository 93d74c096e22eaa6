from django.apps import AppConfig


class PlaybooksConfig(AppConfig):
    name = "apps.decisioning.playbooks"

    def ready(self) -> None:
        from apps.data.profiles.mail import mail_carrier_set
        from apps.data.profiles.registry import sensitive_objections
        from apps.decisioning.content.registry import arrangement_sources

        from . import receivers  # noqa: F401  # connects them; models are loaded only now
        from .carrying import PlaybookCarrier
        from .governing import governing_register
        from .merging import merging_register
        from .privacy import privacy_register
        from .rights import rights_declare
        from .selectors import sensitive_objections_of, template_arrangement

        governing_register()
        rights_declare()
        merging_register()
        privacy_register()
        mail_carrier_set(PlaybookCarrier())
        arrangement_sources.append(template_arrangement)
        sensitive_objections.append(sensitive_objections_of)
