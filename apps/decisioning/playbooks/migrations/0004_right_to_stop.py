from django.db import migrations


class Migration(migrations.Migration):
    """The right to stop runs without that to start them."""

    dependencies = [("playbooks", "0003_publications")]

    operations = [
        migrations.AlterModelOptions(
            name="playbook",
            options={
                "ordering": ["name"],
                "permissions": [
                    ("publish_playbook", "Can publish a playbook"),
                    ("run_playbook", "Can start and stop runs"),
                    ("stop_playbook", "Can pause and cancel runs"),
                ],
            },
        ),
    ]
