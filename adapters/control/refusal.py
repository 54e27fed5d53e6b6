"""The verbs that a family may lack, each refused in silence."""

from adapters.errors import NotSupported
from adapters.values import Address, AutoAnswer, DialOptions, EndpointStatus, LegMemory, LegSeen


class Refusing:
    """Has every verb that stands behind a capability, and refuses it; a family puts its own in place.

    `lacking` is the reason a person reads.
    """

    lacking = "the family has no such ability (docs/adapters.md)"
    _name: str

    def _refuse(self, verb: str) -> NotSupported:
        return NotSupported(self._name, verb, self.lacking)

    async def dial(self, leg: str, to: Address, options: DialOptions) -> None:
        raise self._refuse("dial")

    async def adopt(self, leg: str, memory: LegMemory) -> LegSeen:
        raise self._refuse("adopt")

    async def status(self) -> EndpointStatus:
        raise self._refuse("status")

    async def answer(self, leg: str) -> None:
        raise self._refuse("answer")

    async def mute(self, on: bool) -> None:
        raise self._refuse("mute")

    async def set_volume(self, percent: int) -> None:
        raise self._refuse("set_volume")

    async def send_digits(self, leg: str, digits: str) -> None:
        raise self._refuse("send_digits")

    async def recall_preset(self, number: int) -> None:
        raise self._refuse("recall_preset")

    async def share_content(self, on: bool) -> None:
        raise self._refuse("share_content")

    async def wake(self) -> None:
        raise self._refuse("wake")

    async def show_text(self, text: str, for_s: float) -> None:
        raise self._refuse("show_text")

    async def auto_answer(self) -> AutoAnswer:
        raise self._refuse("auto_answer")

    async def set_auto_answer(self, wanted: AutoAnswer) -> None:
        raise self._refuse("set_auto_answer")
