"""Captured manager sessions: `--- seconds >` what the client sent, `--- seconds <` what came."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "transcripts" / "asterisk"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))

_BLOCK = re.compile(r"^--- +[0-9.]+ ([<>])\n(.*?)(?=^--- +[0-9.]+ [<>]\n|\Z)", re.DOTALL | re.MULTILINE)


def _wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def server_blocks(name: str) -> tuple[bytes, list[bytes]]:
    """The greeting line and every packet of the server, as they were on the wire."""
    blocks = [text for side, text in _BLOCK.findall((FOLDER / f"{name}.txt").read_text()) if side == "<"]
    return _wire(blocks[0]), [_wire(text + "\n") for text in blocks[1:]]


def client_blocks(name: str) -> list[bytes]:
    """Every packet of the client."""
    blocks = _BLOCK.findall((FOLDER / f"{name}.txt").read_text())
    return [_wire(text.rstrip("\n") + "\n\n") for side, text in blocks if side == ">"]


def server_bytes(name: str) -> bytes:
    greeting, packets = server_blocks(name)
    return greeting + b"".join(packets)
