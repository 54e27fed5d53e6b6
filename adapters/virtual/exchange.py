"""Who is where and who can call whom in the virtual province.

A *line* is one end of a call: what its holder may do with it, and a listener that is told
what the other end does. SIP lines are real dialogs on real sockets (`adapters.virtual.port`).
There is no H.323 stack here: a call to an `h323:` address is *patched* through the exchange
inside the process. Both ends behave as they would; only the wire between them is missing.
"""

import asyncio
from typing import TYPE_CHECKING, Protocol

from adapters.values import Address

if TYPE_CHECKING:
    from adapters.virtual.referee import Asked

NORMAL = 200
"""The code of a call that was ended in the normal way; other codes are final SIP codes."""


class Listener(Protocol):
    """Is told what the other end of a line does. Called in the event loop, never raises."""

    def rang(self, line: "Line") -> None: ...

    def answered(self, line: "Line") -> None:
        """The call is up: the called side answered (for a called SIP device: the ACK came)."""
        ...

    def digit(self, line: "Line", digit: str) -> None: ...

    def ended(self, line: "Line", code: int) -> None:
        """The other end refused (its final SIP code), cancelled or hung up (`NORMAL`). Told once, last."""
        ...


class Line:
    """One end of a call. Every verb may be repeated and does nothing once the call is over."""

    __slots__ = ("called", "caller", "caller_name", "key", "listener", "over")

    def __init__(self, key: str, caller: str, caller_name: str, called: str) -> None:
        self.key = key
        self.caller = caller
        self.caller_name = caller_name
        self.called = called
        self.listener: Listener | None = None
        self.over = False

    def ring(self) -> None:
        raise NotImplementedError

    def answer(self) -> None:
        raise NotImplementedError

    def reject(self, code: int) -> None:
        raise NotImplementedError

    def hang_up(self) -> None:
        """End the call, whatever its state; the listener of this end is not told."""
        raise NotImplementedError

    def send_digit(self, digit: str) -> None:
        raise NotImplementedError

    def forget(self) -> None:
        """Lose the call without a word to anybody, as a device does that loses its power."""
        raise NotImplementedError


class Device(Protocol):
    """Something that can be called."""

    name: str

    def hears(self) -> bool:
        """False: nothing that is sent to it gets any reply."""
        ...

    def ignores(self, key: str) -> bool:
        """Whether it stays silent to this new call; asked again for every repetition of it."""
        ...

    def ignored(self, key: str) -> bool:
        """Whether it has stayed silent to this call before."""
        ...

    def offered(self, line: Line) -> None:
        """A new call that it did not ignore: the line is its own from now on."""
        ...

    def asked(self, order: "Asked") -> int:
        """It is told by REFER to call somebody. Returns the status to answer, 0 for silence."""
        ...


class PatchLine(Line):
    """One end of a call that stays inside the process."""

    __slots__ = ("_far", "_mute")

    def __init__(self, key: str, caller: str, caller_name: str, called: str) -> None:
        super().__init__(key, caller, caller_name, called)
        self._far: PatchLine | None = None
        self._mute = False

    @classmethod
    def pair(cls, key: str, caller: str, caller_name: str, called: str) -> tuple["PatchLine", "PatchLine"]:
        """The caller's end and the called end of one call."""
        near = cls(key, caller, caller_name, called)
        far = cls(key, caller, caller_name, called)
        near._far, far._far = far, near
        return near, far

    def ring(self) -> None:
        self._tell("rang")

    def answer(self) -> None:
        if not self.over:
            self._tell("answered")
            asyncio.get_running_loop().call_soon(self._up)

    def _up(self) -> None:
        if not self.over and self.listener is not None:
            self.listener.answered(self)

    def reject(self, code: int) -> None:
        self._end(code)

    def hang_up(self) -> None:
        self._end(NORMAL)

    def send_digit(self, digit: str) -> None:
        self._tell("digit", digit)

    def forget(self) -> None:
        self.over = True
        self._mute = True

    def _end(self, code: int) -> None:
        if not self.over:
            self._tell("ended", code)
            self.over = True

    def _tell(self, what: str, *more: object) -> None:
        if not self.over and self._far is not None:
            asyncio.get_running_loop().call_soon(self._far._heard, what, more)

    def _heard(self, what: str, more: tuple[object, ...]) -> None:
        if self.over or self._mute:
            return
        if what == "ended":
            self.over = True
        if self.listener is not None:
            getattr(self.listener, what)(self, *more)


class Exchange:
    """Finds the device of an address and patches H.323 calls through."""

    def __init__(self) -> None:
        self._devices: dict[tuple[str, str, str, int], Device] = {}
        self._peers: set[str] = set()
        self._calls = 0

    @staticmethod
    def _place(address: Address) -> tuple[str, str, str, int]:
        if address.is_sip:
            return "sip", address.user.lower(), address.host, address.port or 5060
        return "h323", address.user.lower(), address.host, 0

    def settle(self, device: Device, *addresses: Address) -> None:
        """Put `device` at these addresses. Raises ValueError for one that is taken by another."""
        for address in addresses:
            place = self._place(address)
            if self._devices.get(place, device) is not device:
                raise ValueError(f"{address} is taken by {self._devices[place].name}; {device.name} cannot stand there")
            self._devices[place] = device
            if place[0] == "h323":
                self._peers.add(place[2])

    def at(self, address: Address) -> Device | None:
        """The device that stands at an address (an H.323 one is found whatever its port)."""
        return self._devices.get(self._place(address))

    def has_peer(self, host: str) -> bool:
        """Whether any H.323 device stands at this host: a bridge without gatekeeper must know its peers."""
        return host.lower() in self._peers

    def call_h323(self, caller: str, caller_name: str, to: Address, listener: Listener) -> PatchLine:
        """Call an `h323:` address; `listener` hears what becomes of it.

        An address where nobody stands is refused with 404, a dead device never says anything.
        """
        self._calls += 1
        near, far = PatchLine.pair(f"patch-{self._calls}", caller, caller_name, to.user)
        near.listener = listener
        device = self.at(to)
        if device is None:
            far.reject(404)
        elif device.hears() and not device.ignores(near.key):
            asyncio.get_running_loop().call_soon(self._offer, device, far)
        return near

    @staticmethod
    def _offer(device: Device, far: PatchLine) -> None:
        if not far.over:
            device.offered(far)
