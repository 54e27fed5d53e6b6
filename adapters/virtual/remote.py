"""A province that is told what to do in lines of JSON: for tests and demos in another process.

    {"do": "stats"}                                   counts, see `Province.stats`
    {"do": "hang-up", "site": "qt07"}                 people there hang up
    {"do": "die", "site": "qt07", "for": 5}           silence; without "for" until come-back
    {"do": "come-back", "site": "qt07"}
    {"do": "call-by-hand", "site": "qt07", "conference": "8001"}
    {"do": "behave", "site": "qt07", "behavior": "busy; answer"}
    {"do": "cut-manager", "bridge": "mcu"}            drops the AMI sessions, calls stay
    {"do": "manager-down"}, {"do": "manager-up"}      nobody listens on the AMI port; it is back
    {"do": "stop"}

Every line is answered by one line: `{"done": ...}` with what was asked for, or `{"error": ...}`
that says what is wrong with the line.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from adapters.virtual.behavior import MAX_SECONDS, Behavior
from adapters.virtual.bridge import Bridge
from adapters.virtual.province import Province

MAX_LINE = 10_000

Asked = Mapping[str, Any]
Done = Mapping[str, Any]


class Remote:
    """Does what lines say to one province."""

    def __init__(self, province: Province) -> None:
        self._province = province
        self.stopped = False
        self._verbs: dict[str, Callable[[Asked], Awaitable[Done]]] = {
            "stats": self._stats,
            "hang-up": self._hang_up,
            "die": self._die,
            "come-back": self._come_back,
            "call-by-hand": self._call_by_hand,
            "behave": self._behave,
            "cut-manager": self._cut_manager,
            "manager-down": self._manager_down,
            "manager-up": self._manager_up,
            "stop": self._stop,
        }

    async def line(self, text: str) -> str:
        """Do one line; returns the line to answer, never raises for what stands in it."""
        try:
            asked = self._read(text)
            done = await self._verbs[asked["do"]](asked)
        except (ValueError, LookupError, OSError) as wrong:
            said = wrong.args[0] if isinstance(wrong, LookupError) and wrong.args else wrong
            return json.dumps({"error": str(said)}, ensure_ascii=False)
        return json.dumps({"done": asked["do"], **done}, ensure_ascii=False)

    def _read(self, text: str) -> Asked:
        if len(text) > MAX_LINE:
            raise ValueError(f"a line of {len(text)} characters; at most {MAX_LINE}")
        try:
            asked = json.loads(text)
        except ValueError as wrong:
            raise ValueError(f"not a line of JSON: {wrong}") from None
        if not isinstance(asked, dict) or not isinstance(asked.get("do"), str):
            raise ValueError('expected an object like {"do": "stats"}')
        if asked["do"] not in self._verbs:
            raise ValueError(f"cannot do {asked['do']!r}; can do {', '.join(self._verbs)}")
        return asked

    @staticmethod
    def _text(asked: Asked, key: str, default: str = "") -> str:
        value = asked.get(key, default)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{asked['do']} needs {key!r}, a text")
        return value

    def _bridge(self, asked: Asked) -> Bridge:
        province = self._province
        name = self._text(asked, "bridge", province.main.name)
        for bridge in (province.main, province.provincial):
            if bridge.name == name:
                return bridge
        raise LookupError(f"there is no bridge {name!r}; there are {province.main.name}, {province.provincial.name}")

    async def _stats(self, asked: Asked) -> Done:
        return {"stats": self._province.stats()}

    async def _hang_up(self, asked: Asked) -> Done:
        return {"calls": self._province.endpoint(self._text(asked, "site")).hang_up()}

    async def _die(self, asked: Asked) -> Done:
        back_s = asked.get("for")
        if back_s is not None and not (isinstance(back_s, int | float) and 0 <= back_s <= MAX_SECONDS):
            raise ValueError(f"die takes 'for', seconds from 0 to {MAX_SECONDS:.0f}, not {back_s!r}")
        self._province.endpoint(self._text(asked, "site")).die(back_s)
        return {}

    async def _come_back(self, asked: Asked) -> Done:
        self._province.endpoint(self._text(asked, "site")).come_back()
        return {}

    async def _call_by_hand(self, asked: Asked) -> Done:
        line = self._province.call_by_hand(self._text(asked, "site"), self._text(asked, "conference", "8001"))
        return {"call": line.key}

    async def _behave(self, asked: Asked) -> Done:
        endpoint = self._province.endpoint(self._text(asked, "site"))
        endpoint.behave(Behavior.parse(self._text(asked, "behavior")))
        return {}

    async def _cut_manager(self, asked: Asked) -> Done:
        return {"sessions": self._bridge(asked).manager.drop_sessions()}

    async def _manager_down(self, asked: Asked) -> Done:
        await self._bridge(asked).manager_down()
        return {}

    async def _manager_up(self, asked: Asked) -> Done:
        await self._bridge(asked).manager_up()
        return {}

    async def _stop(self, asked: Asked) -> Done:
        self.stopped = True
        return {}
