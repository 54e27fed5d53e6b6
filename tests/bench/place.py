"""Where the bench stands: the repository, free ports, the load of the machine."""

import os
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def say(text: str) -> None:
    """Progress, for people; stdout has figures only."""
    print(f"[{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:.1f}] {text}", file=sys.stderr, flush=True)


def free_port(host: str) -> int:
    """A port of `host` that is free for UDP and TCP now."""
    for _ in range(50):
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind((host, 0))
            port: int = stream.getsockname()[1]
            try:
                datagram.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no port of {host} is free for UDP and TCP")
