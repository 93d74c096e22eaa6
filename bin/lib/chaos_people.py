"""Makes what `bin/chaos send` sends: `python -m bin.lib.chaos_people MESSAGES FILE`.

People who agreed, each with a decision to send, made by hand; FILE gets a line for each: who it is, and their address.
"""

import os
import sys
from pathlib import Path

CHUNK = 5000


def people_make(size: int, path: Path) -> None:
    """Needs Django to be set up."""
    from apps.data.profiles.addresses import addresses_read
    from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run

    run, compiled = make_run(), make_compiled()
    with path.open("w") as file:
        for start in range(0, size, CHUNK):
            people = make_people(min(CHUNK, size - start), prefix="chaos")
            make_decisions(run, people, compiled)
            file.writelines(
                f"{profile_id}\t{address}\n"
                for profile_id, address in addresses_read(profile_ids=people, kind="email").items()
            )
            print(f"{start + len(people)} of {size}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    people_make(int(sys.argv[1]), Path(sys.argv[2]))
