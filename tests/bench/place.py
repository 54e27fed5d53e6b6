"""Where the bench stands: the repository, free ports, the load of the machine."""

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def say(text: str) -> None:
    """Progress, for people; stdout has figures only."""
    print(f"[{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:.1f}] {text}", file=sys.stderr, flush=True)
