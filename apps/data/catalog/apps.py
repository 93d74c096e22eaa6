from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "apps.data.catalog"
    verbose_name = "Catalog"
