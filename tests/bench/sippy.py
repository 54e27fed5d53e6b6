"""The same pairs by sippy: the one Python library that does late-offer third-party control as it comes."""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.bench.figure import Figure, WorkWrong
from tests.bench.pair import AT_ONCE, child, tell
from tests.bench.place import say
from tests.bench.sipp import CALLED_HOST, Called, Rate
from tests.support.port import free_port

HOST = "127.0.40.4"
PAIRS = 600
LIMIT_S = 60.0
_LOOKS_PER_S = 1000.0
"""How often its event loop turns; more is of no use to it (measured: 100 makes it wait for its own clock)."""


def measure(quick: bool) -> Iterator[Figure]:
    """Both dialogs of a pair go up and down as ours do, against the same SIPp UAS, as many at once.

    A BYE counts as done when it is sent: sippy tells of its answer only half a minute later.
    """
    pairs = PAIRS // 4 if quick else PAIRS
    with Called() as called:
        theirs = called.best(quick)
        said = child("sippy", called.port, pairs)
    rate = Rate(2 * pairs, said["wall_s"], said["cpu_s"])
    say(f"sippy: {rate.per_s / 2:.0f} pairs/s, {rate.per_cpu_s / 2:.0f} per second of processor")
    yield Figure("sippy.dialogs", rate.per_s, "dialogs/s", theirs.per_s)
    yield Figure("sippy.dialogs.cpu", rate.per_cpu_s, "dialogs/cpu-s", theirs.per_cpu_s)


async def _turn(port: int, pairs: int) -> dict[str, float]:
    from sippy.CCEvents import CCEventConnect, CCEventDisconnect, CCEventFail, CCEventPreConnect, CCEventTry
    from sippy.Core.EventDispatcher import ED2
    from sippy.SipCallId import SipCallId
    from sippy.SipConf import SipConf
    from sippy.SipLogger import SipLogger
    from sippy.SipTransactionManager import SipTransactionManager
    from sippy.UA import UA

    config: dict[str, Any] = {"_sip_address": HOST, "_sip_port": free_port(HOST), "_sip_logger": SipLogger("bench")}
    SipConf.my_address, SipConf.my_port = HOST, config["_sip_port"]
    config["_sip_tm"] = SipTransactionManager(config, lambda request, transaction: None)
    begun, over, ended = 0, 0, ""

    def take(event: Any, party: Any) -> None:
        nonlocal over, ended
        if isinstance(event, CCEventPreConnect):  # the near side's offer
            far = party.far = _party()
            far.near = party
            _call(far, "8001", event.getData()[2])
        elif isinstance(event, CCEventConnect):  # the far side's answer
            party.near.recvEvent(event.getCopy())
            for one in (party.near, party):
                one.rAddr = one.rAddr0  # it does not know SIPp's "transport=UDP" in capitals
                one.recvEvent(CCEventDisconnect())
            over += 1
            _next()
        elif isinstance(event, (CCEventFail, CCEventDisconnect)):
            ended = f"a call ended: {event} {event.getData()}"
            ED2.breakLoop()

    def _party() -> Any:
        return UA(config, event_cb=take, nh_address=(CALLED_HOST, port))

    def _call(party: Any, user: str, body: Any) -> None:
        party.recvEvent(CCEventTry((SipCallId(), "bench", user, body, None, "Giao ban")))

    def _next() -> None:
        nonlocal begun
        if begun < pairs:
            begun += 1
            _call(_party(), f"qt{begun}", None)
        elif over == pairs:
            ED2.breakLoop()

    cpu_s, began = time.process_time(), time.perf_counter()
    for _ in range(AT_ONCE):
        _next()
    ED2.loop(timeout=LIMIT_S, freq=_LOOKS_PER_S)
    if ended or over < pairs:
        raise WorkWrong(ended or f"{over} of {pairs} pairs in {LIMIT_S:g} s")
    return {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu_s}


if __name__ == "__main__":
    os.environ.update(SIPLOG_BEND="none", SIPLOG_LVL="CRIT")
    tell(_turn(int(sys.argv[1]), int(sys.argv[2])))
    sys.stdout.flush()
    os._exit(0)  # its threads would keep the process
