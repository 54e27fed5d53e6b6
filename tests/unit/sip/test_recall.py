"""A far side that rings for a parked near side when the process dies: the next one gives it up properly."""

import pytest

from adapters.endpoints.sip.profile import Profile
from adapters.errors import Rejected
from adapters.events import LegConnected
from adapters.sip.listener import Ending
from adapters.sip.pair import Patience
from tests.unit.sip.stage import FAR_SDP, LEG, NEAR_SDP, Mind, Stage, rings, stage, until

PARKS = Profile(patience=Patience(ack_s=0.05, straggler_s=0.5, adopt_s=1.0))


async def parked(s: Stage, flow: str) -> Mind:
    mind = await s.mind(flow=flow, profile=PARKS)
    await mind.dial(s.far)
    await until(lambda: s.near.up and LEG in mind.memories and mind.memories[LEG]["ringing"])
    return mind


@pytest.mark.parametrize("same_address", [True, False])
@pytest.mark.parametrize("flow", ["I", "III"])
async def test_both_sides_are_released(flow: str, same_address: bool) -> None:
    async with stage(far=rings) as s:
        port = await (await parked(s, flow)).die()
        second = await s.mind(port=port if same_address else 0)
        assert (await second.adopt()).state == "cleared"
        await second.heard.cleared(LEG)
        await until(lambda: s.far.endings == [Ending.CANCEL] and s.near.endings == [Ending.BYE])
        await s.drained(second)
        assert second.told == ["LegCleared"]


@pytest.mark.parametrize("flow", ["I", "III"])
async def test_one_that_answered_meanwhile_gets_its_ack_and_bye(flow: str) -> None:
    async with stage(far=rings) as s:
        port = await (await parked(s, flow)).die()
        s.far.call.answer(FAR_SDP)
        second = await s.mind(port=port)
        await second.adopt()
        await until(lambda: s.far.acks and s.far.endings == [Ending.BYE])
        assert bool(s.far.acks[0]) is (flow == "III"), "an offer in the 200 is answered, an answer is not"
        await s.drained(second)


async def test_a_far_side_that_knows_of_nothing_any_more_keeps_nobody() -> None:
    async with stage(far=rings) as s:
        port = await (await parked(s, "I")).die()
        s.far.agent.hears = lambda request: False
        second = await s.mind(port=port)
        await second.adopt()
        await second.heard.cleared(LEG)
        await until(lambda: not len(second.agent))
        assert second.told == ["LegCleared"]


async def test_what_rang_before_it_was_answered_is_not_in_the_memory_of_a_pair() -> None:
    async with stage(far=rings) as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        mind = await parked(s, "I")
        s.far.call.answer(FAR_SDP)
        await mind.heard.event(LegConnected, LEG)
        assert mind.memories[LEG]["ringing"] is None and mind.memories[LEG]["far"]["call_id"]


@pytest.mark.parametrize("change", [{"via": "SIP/2.0/UDP x"}, {"via": None}, {"cseq": "x"}, {"offered": ...}])
async def test_a_memory_that_is_none_leaves_nothing(change: dict[str, object]) -> None:
    async with stage(far=rings) as s:
        first = await parked(s, "I")
        second = await s.mind(port=await first.die())
        memory = dict(s.memories[LEG])
        memory["ringing"] = {key: value for key, value in {**memory["ringing"], **change}.items() if value is not ...}
        with pytest.raises(Rejected, match="memory"):
            await second.endpoint.adopt(LEG, memory)
        assert len(second.agent) == 0
