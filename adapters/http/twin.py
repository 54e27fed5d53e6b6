"""Twins of devices with an HTTP port: servers on real sockets, with the faults of `adapters.control.fault`.

A family derives from `HttpTwin` and says what a request is called in a script (`command`), what it does and
answers (`took`), and what an old firmware says to it (`does_not_know`).
"""

import ssl

from adapters.control.fault import Faults
from adapters.control.twin import Twin
from adapters.http.order import Answer, Request
from adapters.http.server import Certificate, HttpServer, Peer, written
from adapters.virtual.codec import Codec


class HttpTwin(Twin):
    """One device with an HTTP port; `https` shows a certificate of its own, made with the first start and kept."""

    def __init__(self, codec: Codec, *, secret: str = "", username: str = "", faults: Faults | None = None) -> None:
        super().__init__(codec, secret=secret, username=username, faults=faults)
        self.certificate: Certificate | None = None
        self._server = HttpServer(self._serve, self._count)
        self._transport = "https"

    # ---- what a family says

    def command(self, request: Request) -> str:
        """What a request is called, in `commands` and in scripts of faults; without secrets."""
        raise NotImplementedError

    def took(self, request: Request) -> Answer:
        """Do what is asked, and answer."""
        raise NotImplementedError

    def does_not_know(self, request: Request) -> Answer:
        """The answer of a firmware that has no such action."""
        raise NotImplementedError

    def end_sessions(self) -> None:
        """Know nobody any more."""
        raise NotImplementedError

    # ---- life

    async def start(self, host: str = "127.0.0.1", port: int = 0, transport: str = "https") -> tuple[str, int]:
        self._transport = transport
        tls: ssl.SSLContext | None = None
        if transport == "https":
            self.certificate = self.certificate or Certificate.made(self.codec.serial)
            tls = self.certificate.context()
        self.is_up = True
        self.address = await self._server.start(host, port, tls)
        return self.address

    async def stop(self) -> None:
        self.is_up = False
        self.end_sessions()
        await self._server.stop()

    async def come_back(self) -> None:
        await self.start(*self.address, transport=self._transport)

    def drop_consoles(self) -> None:
        self.end_sessions()
        self._server.drop()

    # ---- requests

    def _count(self, length: int) -> None:
        self.heard_bytes += length

    async def _serve(self, peer: Peer, request: Request) -> None:
        faults = self.faults
        if faults.is_deaf:
            return
        command = self.command(request)
        self.commands.append(command)
        kind = faults.take(command)
        if kind == "reset":
            peer.close()
        elif kind == "reboot":
            self.reboot()
        elif kind != "ignore":
            answer = self.does_not_know(request) if kind == "refuse" else self.took(request)
            await self._say(peer, answer, kind)

    async def _say(self, peer: Peer, answer: Answer, kind: str) -> None:
        if kind == "garble":
            body = bytes(byte ^ 5 if chr(byte).isalnum() else byte for byte in answer.body)
            answer = Answer(answer.status, answer.headers, body)
        data = written(answer)
        if kind == "cut":
            data = data[: len(data) - max(1, len(answer.body) // 2)]
        if kind == "drop":
            peer.close()
        elif kind != "silent":
            await peer.send(data, self.faults.piece)
