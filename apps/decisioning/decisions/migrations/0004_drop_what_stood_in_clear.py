from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("decisions", "0003_decisions_seal"),
    ]

    operations = [
        migrations.RemoveField(
            model_name="decision",
            name="inputs",
        ),
        migrations.RemoveField(
            model_name="decision",
            name="reasons",
        ),
    ]
