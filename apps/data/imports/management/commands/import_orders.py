"""Import a file of orders."""

from apps.data.imports.management.import_command import ImportCommand


class Command(ImportCommand):
    """`manage.py import_orders FILE`."""

    help = "Import orders from a CSV file."
    kind = "orders"
