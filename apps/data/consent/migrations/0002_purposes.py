from django.db import migrations

PURPOSES = [
    ("marketing", "News and offers", "Messages about products, offers and news that fit you.", True),
    ("personalisation", "Fitted to me", "Using what I bought and looked at to choose what I am shown.", True),
    ("tracking", "Opens and clicks", "Measuring whether I open messages and which links I follow.", True),
    ("profiling", "Learning from my data", "Using my data to improve the shop's models.", True),
    ("transactional", "My orders and account", "Messages that belong to an order or to my account.", False),
]


def purposes_add(apps, schema_editor):
    purpose = apps.get_model("consent", "Purpose")
    for position, (code, name, description, needs_consent) in enumerate(PURPOSES):
        purpose.objects.get_or_create(
            code=code,
            defaults={
                "name": name,
                "description": description,
                "needs_consent": needs_consent,
                "position": position,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("consent", "0001_initial")]

    operations = [migrations.RunPython(purposes_add, migrations.RunPython.noop)]
