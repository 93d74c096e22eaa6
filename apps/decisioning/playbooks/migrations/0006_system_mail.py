import django.db.models.deletion
from django.db import migrations, models

import apps.foundation.core.clock


class Migration(migrations.Migration):
    """A playbook may be the system mail of a kind; mails that are wanted are rows."""

    dependencies = [("playbooks", "0005_topic"), ("profiles", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="MailWant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("confirm", "confirmation that somebody wants to hear from us"),
                            ("link", "link to the preferences, for somebody who asked for it"),
                            ("welcome", "welcome after a sign-up"),
                            ("export", "link to what is known about a person, for that person"),
                        ],
                        max_length=10,
                    ),
                ),
                ("key", models.CharField(max_length=120)),
                ("wanted_at", models.DateTimeField(default=apps.foundation.core.clock.now)),
                ("settled_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            model_name="playbook",
            name="mail_kind",
            field=models.CharField(
                blank=True,
                choices=[
                    ("confirm", "confirmation that somebody wants to hear from us"),
                    ("link", "link to the preferences, for somebody who asked for it"),
                    ("welcome", "welcome after a sign-up"),
                    ("export", "link to what is known about a person, for that person"),
                ],
                db_default="",
                default="",
                max_length=10,
                verbose_name="system mail",
            ),
        ),
        migrations.AddField(
            model_name="playbookversion",
            name="mail_kind",
            field=models.CharField(
                blank=True,
                choices=[
                    ("confirm", "confirmation that somebody wants to hear from us"),
                    ("link", "link to the preferences, for somebody who asked for it"),
                    ("welcome", "welcome after a sign-up"),
                    ("export", "link to what is known about a person, for that person"),
                ],
                db_default="",
                default="",
                help_text="of the spec",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="journey",
            name="trigger",
            field=models.CharField(
                choices=[
                    ("hand", "by hand"),
                    ("schedule", "on a schedule"),
                    ("event", "at an event"),
                    ("audience", "when somebody enters the audience"),
                    ("api", "over the API"),
                    ("system", "as system mail"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="playbook",
            name="trigger",
            field=models.CharField(
                choices=[
                    ("hand", "by hand"),
                    ("schedule", "on a schedule"),
                    ("event", "at an event"),
                    ("audience", "when somebody enters the audience"),
                    ("api", "over the API"),
                    ("system", "as system mail"),
                ],
                default="hand",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="run",
            name="trigger",
            field=models.CharField(
                choices=[
                    ("hand", "by hand"),
                    ("schedule", "on a schedule"),
                    ("event", "at an event"),
                    ("audience", "when somebody enters the audience"),
                    ("api", "over the API"),
                    ("system", "as system mail"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="playbook",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("trigger", "system"), _negated=True),
                    models.Q(("mail_kind", ""), _negated=True),
                    _connector="OR",
                ),
                name="playbook_mail_kind_is_given",
                violation_error_message="Say which system mail it is",
            ),
        ),
        migrations.AddConstraint(
            model_name="playbookversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "published"), models.Q(("mail_kind", ""), _negated=True)),
                fields=("mail_kind",),
                name="playbook_version_one_published_of_each_mail",
            ),
        ),
        migrations.AddField(
            model_name="mailwant",
            name="profile",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="profiles.profile"
            ),
        ),
        migrations.AddField(
            model_name="mailwant",
            name="run",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="playbooks.run",
            ),
        ),
        migrations.AddIndex(
            model_name="mailwant",
            index=models.Index(condition=models.Q(("settled_at", None)), fields=["kind", "id"], name="mail_want_open"),
        ),
        migrations.AddIndex(
            model_name="mailwant",
            index=models.Index(fields=["run", "profile"], name="mail_want_of_message"),
        ),
        migrations.AddConstraint(
            model_name="mailwant",
            constraint=models.UniqueConstraint(fields=("profile", "kind", "key"), name="mail_want_once"),
        ),
    ]
