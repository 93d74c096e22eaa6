from django.apps import AppConfig


class ConsentConfig(AppConfig):
    name = "apps.data.consent"
    verbose_name = "Consent"
