"""As much of an HTTP/1.1 server as a device's has: for twins and replays, on a real socket."""

import asyncio
import datetime as dt
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from adapters.http.order import Answer, Request

_MOST_HEAD = 16_384
_MOST_BODY = 65_536
_TEXTS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 503: "Service Unavailable"}


class Peer:
    """One connection of a client."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.is_open = True

    async def send(self, data: bytes, piece: int = 0) -> None:
        """Bytes as they are, `piece` at a time."""
        step = piece or len(data) or 1
        try:
            for start in range(0, len(data), step):
                self._writer.write(data[start : start + step])
                await self._writer.drain()
                if piece:
                    await asyncio.sleep(0)
        except OSError:
            self.is_open = False

    def close(self) -> None:
        self.is_open = False
        self._writer.transport.abort()


Serve = Callable[[Peer, Request], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as PEM."""

    pem: bytes

    @classmethod
    def made(cls, name: str) -> "Certificate":
        """A new self-signed one, like a device makes for itself: run out long ago, and in no name of a host."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        began = dt.datetime(2014, 1, 1, tzinfo=dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(who)
            .issuer_name(who)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(began)
            .not_valid_after(began + dt.timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        return cls(
            made.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def context(self) -> ssl.SSLContext:
        """For a server that shows it."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:  # ssl reads files only
            path = Path(folder) / "both.pem"
            path.touch(mode=0o600)
            path.write_bytes(self.pem)
            made.load_cert_chain(path)
        return made


class HttpServer:
    """Gives each request to `serve`, which answers by the peer. `heard(count)` is told of every byte that comes."""

    def __init__(self, serve: Serve, heard: Callable[[int], None] | None = None) -> None:
        self._serve = serve
        self._heard = heard
        self._server: asyncio.Server | None = None
        self.peers: set[Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(self._take, host, port, ssl=tls, limit=_MOST_HEAD, backlog=2048)
        name = self._server.sockets[0].getsockname()
        return name[0], name[1]

    async def stop(self) -> None:
        """Drop every connection and listen no more. Safe to repeat; `start` may follow."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.drop()
        tasks = {task for task in self._tasks if task is not asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    def drop(self) -> None:
        """End every connection."""
        for peer in list(self.peers):
            peer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(writer)
        self.peers.add(peer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while peer.is_open:
                request = await self._read(reader)
                if request is None:
                    break
                await self._serve(peer, request)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that leaves, or is none
        finally:
            self.peers.discard(peer)
            peer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, *_ = [*first.split(" "), "", ""]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _MOST_BODY:
            return None
        body = await reader.readexactly(int(length))
        if self._heard is not None:
            self._heard(len(head) + len(body))
        return Request(method, target, headers, body)


def written(answer: Answer) -> bytes:
    """An answer on the wire."""
    lines = [
        f"HTTP/1.1 {answer.status} {_TEXTS.get(answer.status, 'Status')}",
        *(f"{name}: {value}" for name, value in answer.headers),
        f"Content-Length: {len(answer.body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
