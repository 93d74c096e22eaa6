"""What an installation makes once and keeps."""

import json
from pathlib import Path

from bin.lib.installation import Secrets
from config.keys import master_keys_read


def test_an_older_installation_gets_what_it_lacks_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = Secrets.load(path)
    kept = json.loads(path.read_text())
    older = {name: value for name, value in kept.items() if name != "master_keys"}
    path.write_text(json.dumps(older))

    again = Secrets.load(path)

    assert {**kept, "master_keys": again.master_keys} == json.loads(path.read_text())
    assert again.master_keys != first.master_keys
    assert list(master_keys_read([again.master_keys])) == ["m1"]
    assert Secrets.load(path) == again
