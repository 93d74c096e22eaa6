from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sending", "0002_addresses_leave_the_ledger"),
    ]

    operations = [
        migrations.RemoveField(
            model_name="message",
            name="address",
        ),
        migrations.AlterField(
            model_name="deliveryattempt",
            name="response",
            field=models.CharField(blank=True, help_text="in the provider's words, addresses masked", max_length=500),
        ),
        migrations.AlterField(
            model_name="message",
            name="address_digest",
            field=models.BinaryField(
                help_text="keyed, of the address it goes to; the address itself stands with the person",
                max_length=32,
                null=True,
            ),
        ),
    ]
