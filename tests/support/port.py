"""Ports for what a test starts."""

import socket


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
