from django.db import migrations, models


class Migration(migrations.Migration):
    """What is staged in the clear goes: an import that has not merged it yet reads its file again."""

    dependencies = [("imports", "0002_unlogged_staging")]

    operations = [
        *(
            operation
            for name in ("external_id", "email", "phone")
            for operation in (
                migrations.RemoveField(model_name="stagedperson", name=name),
                migrations.AddField(model_name="stagedperson", name=name, field=models.BinaryField(null=True)),
            )
        ),
        *(
            migrations.AlterField(
                model_name="stagedperson", name=name, field=models.BinaryField(max_length=33, null=True)
            )
            for name in ("external_digest", "email_digest", "phone_digest")
        ),
    ]
