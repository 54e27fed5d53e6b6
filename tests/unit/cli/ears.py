"""Who listens to a wire in these tests."""

import asyncio


class Ears:
    """Keeps what a wire brings."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.more = asyncio.Event()
        self.reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def received(self, data: bytes) -> bool:
        self.data += data
        self.more.set()
        return False

    def lost(self, reason: str) -> None:
        self.reason.set_result(reason)

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(10):
            while text not in self.data:
                self.more.clear()
                await self.more.wait()
