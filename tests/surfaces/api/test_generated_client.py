"""A client made from the document by a generator works: it is imported, asks, and reads what comes back.

The program that uses it runs by itself, as an integrator's would, against the real server.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from apps.data.catalog.models import Item
from apps.foundation.accounts.api_keys import keys_forget
from apps.surfaces.api.describing import document

from .makers import make_asker

PROGRAM = """
import sys
from tessera_api_client import AuthenticatedClient
from tessera_api_client.api.items import items_change, items_create, items_list
from tessera_api_client.models import ItemNewRequest, PatchedItemFieldsRequest, Problem

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
tea = ItemNewRequest(sku="T-1", title="Assam", price="8.90")
made = items_create.sync(client=client, body=tea, idempotency_key="1")
assert items_create.sync(client=client, body=tea, idempotency_key="1") == made, made
refused = items_create.sync_detailed(client=client, body=tea)
assert refused.status_code == 409 and isinstance(refused.parsed, Problem), refused
assert refused.parsed.code == "sku_taken", refused
changed = items_change.sync(made.id, client=client, body=PatchedItemFieldsRequest(in_stock=False))
assert (changed.title, changed.in_stock, changed.price) == ("Assam", False, "8.9000"), changed
page = items_list.sync(client=client, limit=1)
assert [item.sku for item in page.items] == ["T-1"] and page.next_ is None, page
print("done")
"""


@pytest.mark.django_db(transaction=True)
def test_a_client_that_a_generator_makes_works(live_server: LiveServer, tmp_path: Path, clean_redis: object) -> None:
    keys_forget()
    asker = make_asker("items:read", "items:write")
    (tmp_path / "api.json").write_text(json.dumps(document()))
    (tmp_path / "client.yml").write_text("package_name_override: tessera_api_client\npost_hooks: []\n")
    (tmp_path / "program.py").write_text(PROGRAM)

    program = Path(sys.executable).with_name("openapi-python-client")
    how = ["--path", "api.json", "--config", "client.yml", "--meta", "none", "--fail-on-warning"]
    for told, command in (
        ("Generating", [str(program), "generate", *how]),
        ("done", [sys.executable, "program.py", live_server.url, asker.key]),
    ):
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert told in ran.stdout
    assert [(item.sku, item.in_stock) for item in Item.objects.all()] == [("T-1", False)]
