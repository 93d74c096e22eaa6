"""`python -I child_main.py`: the child process. It finds the project by itself, as `-I` leaves out all paths."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from apps.decisioning.content.child import serve  # behind the path
from apps.decisioning.content.jobs import JOBS, TYPES, warm_up

if __name__ == "__main__":
    serve(JOBS, TYPES, warm_up)
