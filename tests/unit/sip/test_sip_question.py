"""By which request a peer is asked whether it knows a call (pair.question), on the wire."""

import pytest

from adapters.sip.pair import Pair, PairListener, Patience
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.wire import Ear, sdp


@pytest.mark.parametrize(
    ("product", "method", "status"),
    [("baresip v1.0.0 (x86_64/linux)", "INFO", 488), ("LabMCU-mcu", "OPTIONS", 200), ("", "OPTIONS", 501)],
)
async def test_each_peer_is_asked_as_it_tells_the_truth(
    make_agent: MakeAgent, make_wire: MakeWire, product: str, method: str, status: int
) -> None:
    """baresip 1.0.0 answers every OPTIONS with 200; its INFO gets 481, or 488 while the call lives (measured)."""
    agent, near = await make_agent(), await make_wire()
    ear = Ear()
    near_call = agent.call(near.uri(), ear, sdp=sdp())
    invite = await near.next("INVITE")
    near.reply(invite, 200, body=sdp(), headers=[("Server", product)] if product else [])
    await ear.next("answered")
    memory = near_call.memory()
    near_call.let_go()

    pair = Pair(agent, PairListener(), lambda coroutine: coroutine.close(), Patience(adopt_s=2.0))
    far = await make_wire()
    there = {"near": memory, "far": {**memory, "call_id": "far", "target": far.uri(), "product": ""}}
    assert pair.adopt({**there, "whole": True, "origin": 0, "near_ack": "", "far_ack": ""})
    heard: list[bool | None] = []
    pair.ask(heard.append)
    near.reply(await near.next(method), status)
    far.reply(await far.next("OPTIONS"), 200)
    near.request("OPTIONS", agent.address)
    await near.next(200)  # what came before it has been heard
    assert heard == [True]
