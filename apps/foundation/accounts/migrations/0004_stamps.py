from django.db import migrations

from apps.foundation.core.stamps import stamping


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_clients_of_the_api"), ("core", "0001_stamps")]
    operations = [
        migrations.RunSQL(*stamping("clients", "accounts_apiclient")),
        migrations.RunSQL(*stamping("clients", "accounts_apikey", columns="digest, client_id, expires_at, revoked_at")),
    ]
