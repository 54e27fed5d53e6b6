"""The lab's own eyes on an Asterisk: a plain manager (AMI) client, independent of the adapter under test."""

import asyncio
import contextlib
import itertools
from datetime import UTC, datetime

from tests.peers.lab.config import Login
from tests.peers.lab.place import LabError
from tests.peers.lab.watch import Watch

Packet = dict[str, str]
KEPT = {
    *("FullyBooted", "Newchannel", "Newstate", "Hangup", "DialBegin", "DialEnd", "OriginateResponse"),
    *("ConfbridgeJoin", "ConfbridgeLeave", "ConfbridgeTalking"),
}
READ_S = 10.0
ROSTER_S = 20.0  # for a roster to be as it is waited for


class Manager:
    """One logged-in manager connection: `ask` for answers, `events` for what happened."""

    def __init__(self, host: str, port: int, login: Login) -> None:
        self.host, self.port, self.login = host, port, login
        self.events: Watch[Packet] = Watch()
        self._ids = itertools.count(1)
        self._replies: dict[str, tuple[list[Packet], asyncio.Future[list[Packet]]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Raises OSError while nobody listens, LabError when the login is refused."""
        reader, self._writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        async with asyncio.timeout(READ_S):
            await reader.readline()  # the banner
        self._reader = asyncio.create_task(self._read(reader))
        answer = await self.ask("Login", Username=self.login.name, Secret=self.login.secret, Events="system,call")
        if answer[0].get("Response") != "Success":
            await self.close()
            raise LabError(f"{self.host}: manager login refused: {answer[0].get('Message')}")

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        if self._writer is not None:
            self._writer.close()

    async def ask(self, action: str, /, **headers: str) -> list[Packet]:
        """The response and, for a list, its events (without the closing one)."""
        if self._writer is None:
            raise LabError(f"{self.host}: manager connection is not open")
        ident = f"lab-{next(self._ids)}"
        future: asyncio.Future[list[Packet]] = asyncio.get_running_loop().create_future()
        self._replies[ident] = ([], future)
        lines = [f"Action: {action}", f"ActionID: {ident}", *(f"{key}: {value}" for key, value in headers.items())]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        try:
            async with asyncio.timeout(READ_S):
                return await future
        except TimeoutError:
            raise TimeoutError(f"{self.host}: no answer to manager action {action}") from None
        finally:
            self._replies.pop(ident, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                block = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            packet: Packet = {}
            for line in block.decode(errors="replace").splitlines():
                key, colon, value = line.partition(":")
                if colon:
                    packet[key.strip()] = value.strip()
            self._take(packet)

    def _take(self, packet: Packet) -> None:
        waiting = self._replies.get(packet.get("ActionID", ""))
        if waiting is not None and packet.get("Event") != "OriginateResponse":
            parts, future = waiting
            if packet.get("EventList") == "Complete":
                done = True
            else:
                parts.append(packet)
                done = "Response" in packet and packet.get("EventList") != "start"
            if done and not future.done():
                future.set_result(parts)
        elif packet.get("Event") in KEPT:
            packet["SeenAt"] = datetime.now(UTC).isoformat()
            self.events.add(packet)

    async def channels(self) -> list[Packet]:
        """All calls there are now."""
        return (await self.ask("CoreShowChannels"))[1:]

    async def roster(self, conference: str) -> list[Packet]:
        """Who is in a conference; an empty one is answered by an error, not by an empty list."""
        return [one for one in await self.ask("ConfbridgeList", Conference=conference) if one.get("Event")]

    async def callers(self, conference: str) -> list[str]:
        """The caller numbers of who is in a conference, in order."""
        return sorted(str(one.get("CallerIDNum")) for one in await self.roster(conference))

    async def until_callers(self, conference: str, *callers: str) -> None:
        """Wait until these and nobody else are in a conference."""
        async with asyncio.timeout(ROSTER_S):
            while await self.callers(conference) != sorted(callers):  # noqa: ASYNC110 - we follow no events here
                await asyncio.sleep(0.1)
