"""Which purposes ask for a double opt-in, and which a browser's signal withdraws, to begin with.

Marketing mail needs proof that the holder of the address asked for it. The signal (Global Privacy Control) speaks
against following people and building profiles of them, not against the newsletter they asked for.
"""

from typing import Any

from django.db import migrations

DOUBLE_OPT_IN = ["marketing"]
GPC_OPTS_OUT = ["tracking", "profiling"]


def purposes_ask(apps: Any, schema_editor: Any) -> None:
    purpose = apps.get_model("consent", "Purpose")
    purpose.objects.filter(code__in=DOUBLE_OPT_IN).update(double_opt_in=True)
    purpose.objects.filter(code__in=GPC_OPTS_OUT).update(gpc_opts_out=True)


class Migration(migrations.Migration):
    dependencies = [("consent", "0008_double_opt_in_and_origins")]

    operations = [migrations.RunPython(purposes_ask, migrations.RunPython.noop)]
