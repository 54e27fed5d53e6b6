"""Why a call ended: every captured ending, in the captured order of events and in any other."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bridges.asterisk import grammar, meaning
from adapters.bridges.asterisk.call import Call, verdict
from adapters.bridges.asterisk.calls import REMEMBERED, Calls
from adapters.bridges.asterisk.meaning import HungUp, Party
from adapters.bridges.asterisk.profile import Pace
from adapters.causes import ClearCause, Cleared, Side
from adapters.events import Event, LegCleared, LegConnected, LegRinging

from .transcript import client_blocks, server_blocks

AT = datetime(2026, 12, 1, 8, tzinfo=UTC)
RING_S = 3.0


class Table:
    """Calls with a clock that tests turn, and what they told."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.time = 100.0
        self.calls = Calls(Pace(), self.told.append, lambda: AT, lambda: self.time)

    def order(self, leg: str, action_id: str = "", **more: object) -> Call:
        return self.calls.add(
            Call(leg, action_id=action_id, target="PJSIP/x", ring_s=RING_S, ordered_at=self.time, **more)  # type: ignore[arg-type]
        )

    def hear(self, said: meaning.Meaning | None) -> None:
        match said:
            case meaning.ChannelMade():
                self.calls.channel_made(said)
            case meaning.Progressed():
                self.calls.progressed(said)
            case meaning.Answered():
                self.calls.answered(said.uniqueid)
            case meaning.Joined():
                self.calls.joined(said.party.uniqueid, said.party.channel)
            case meaning.HangupAsked():
                self.calls.hangup_asked(said)
            case meaning.HungUp():
                self.calls.hung_up(said)
            case meaning.Originated():
                self.calls.originated(said)

    def of(self, leg: str) -> list[Event]:
        return [event for event in self.told if getattr(event, "leg", "") == leg]


def meanings(name: str) -> list[meaning.Meaning]:
    packets = [grammar.parse(block.strip(b"\r\n")) for block in server_blocks(name)[1]]
    return [said for packet in packets if (said := meaning.read(packet)) is not None]


def orders(name: str) -> list[tuple[str, str]]:
    """Leg and ActionID of every Originate of a transcript; of a repeated leg the first."""
    sent = [grammar.Decoder(greets=False).feed(block)[0] for block in client_blocks(name)]
    found = {p.get("ChannelId"): p.action_id for p in reversed(sent) if p.name == "Originate"}
    return list(found.items())


def played(name: str, dropped: str = "") -> Table:
    table = Table()
    for leg, action_id in orders(name):
        table.order(leg, action_id, dropping=leg == dropped)
    for said in meanings(name):
        if isinstance(said, HungUp) and said.cause == 19:
            table.time += RING_S  # both the silent and the ringing ones took their whole ring time
        table.hear(said)
    return table


REFUSED = [
    (0, ClearCause.BUSY, Side.FAR_END, "SIP 486", False),
    (1, ClearCause.NOT_FOUND, Side.FAR_END, "SIP 404", False),
    (2, ClearCause.NO_ANSWER, Side.FAR_END, "SIP 480", True),
    (3, ClearCause.UNREACHABLE, Side.NETWORK, "no sign of life in 3 s", False),
    (4, ClearCause.UNREACHABLE, Side.NETWORK, "SIP 503", False),
    (5, ClearCause.BUSY, Side.FAR_END, "Q.850 17 User busy", False),
    (6, ClearCause.NOT_FOUND, Side.FAR_END, "Q.850 1 Unallocated", False),
    (7, ClearCause.NO_ANSWER, Side.FAR_END, "Q.850 19", True),
    (8, ClearCause.UNREACHABLE, Side.NETWORK, "Q.850 0 Unknown", False),
    (90, ClearCause.BUSY, Side.FAR_END, "SIP 486", True),
]


@pytest.mark.parametrize(("number", "cause", "side", "raw", "rings"), REFUSED)
def test_a_captured_refusal(number: int, cause: ClearCause, side: Side, raw: str, rings: bool) -> None:
    *before, last = played("refused").of(f"dc0a1b-2-{number}-1")
    assert isinstance(last, LegCleared)
    assert (last.cleared.cause, last.cleared.side) == (cause, side)
    assert raw in last.cleared.raw
    assert [type(event) for event in before] == ([LegRinging] if rings else [])


@pytest.mark.parametrize("number", [9, 10])
def test_an_originate_without_a_channel_is_doubted_and_then_missing(number: int) -> None:
    table = played("refused")
    leg = f"dc0a1b-2-{number}-1"
    assert table.of(leg) == []
    table.time += Pace().no_channel_s
    (call,) = [call for call in table.calls.due() if call.leg == leg]
    table.calls.missing(call)
    (event,) = table.of(leg)
    assert isinstance(event, LegCleared)
    assert (event.cleared.cause, event.cleared.side) == (ClearCause.UNREACHABLE, Side.BRIDGE)
    assert "PJSIP/x" in event.cleared.raw


@pytest.mark.parametrize(
    ("name", "leg", "dropped", "cause", "side"),
    [
        ("answered", "dc0a1b-1-1-1", True, ClearCause.LOCAL, Side.OURS),
        ("answered", "dc0a1b-1-1-1", False, ClearCause.BRIDGE_ENDED, Side.BRIDGE),
        ("ended", "dc0a1b-1-2-1", False, ClearCause.FAR_END, Side.FAR_END),
        ("ended", "dc0a1b-1-3-1", False, ClearCause.BRIDGE_ENDED, Side.BRIDGE),
    ],
)
def test_how_a_captured_connected_call_ended(name: str, leg: str, dropped: bool, cause: ClearCause, side: Side) -> None:
    told = played(name, dropped=leg if dropped else "").of(leg)
    assert [type(event) for event in told] == [LegRinging, LegConnected, LegCleared]
    assert isinstance(told[-1], LegCleared)
    assert (told[-1].cleared.cause, told[-1].cleared.side) == (cause, side)


def test_a_full_room_answers_and_lets_go() -> None:
    (ringing, cleared) = played("full").of("dc0a1b-3-2-1")
    assert isinstance(ringing, LegRinging)
    assert isinstance(cleared, LegCleared)
    assert (cleared.cleared.cause, cleared.cleared.side) == (ClearCause.BRIDGE_FULL, Side.BRIDGE)


def test_a_second_order_under_a_living_name_clears_nothing() -> None:
    failures = [said for said in meanings("full") if isinstance(said, meaning.Originated) and not said.success]
    assert [(said.uniqueid, said.action_id) for said in failures] == [("dc0a1b-3-1-1", "a3")]
    table = played("full", dropped="dc0a1b-3-1-1")
    assert [type(event) for event in table.of("dc0a1b-3-1-1")] == [LegRinging, LegConnected, LegCleared]


def test_a_hang_up_that_was_too_early_is_local_in_the_end() -> None:
    told = played("too_early", dropped="dc0a1b-4-1-1").of("dc0a1b-4-1-1")
    assert isinstance(told[-1], LegCleared)
    assert told[-1].cleared.cause is ClearCause.LOCAL


@given(st.data())
def test_in_any_order_a_call_is_cleared_once_and_last(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["answered", "ended", "refused", "full", "too_early"]))
    table = Table()
    for leg, action_id in orders(name):
        table.order(leg, action_id)
    for said in data.draw(st.permutations(meanings(name))):
        table.hear(said)
    for leg, _ in orders(name):
        kinds = [type(event) for event in table.of(leg)]
        assert kinds.count(LegConnected) <= 1
        assert kinds.count(LegRinging) <= 1
        if LegConnected in kinds:
            assert LegRinging not in kinds[kinds.index(LegConnected) :]
        if LegCleared in kinds:
            assert kinds.index(LegCleared) == len(kinds) - 1


def ended(cause: int | None, tech: int | None = None) -> HungUp:
    return HungUp(Party("PJSIP/x-1", "leg"), cause, "text", tech)


@pytest.mark.parametrize(
    ("call", "end", "expected"),
    [
        (Call("leg", connected=True), ended(44), (ClearCause.LOST, Side.NETWORK)),
        (Call("leg", connected=True), ended(None), (ClearCause.BRIDGE_ENDED, Side.BRIDGE)),
        (Call("leg", connected=True), None, (ClearCause.LOST, Side.UNKNOWN)),
        (Call("leg", connected=True, dropping=True), None, (ClearCause.LOCAL, Side.OURS)),
        (Call("leg", answered=True, far_end_asked=True), ended(16), (ClearCause.FAR_END, Side.FAR_END)),
        (Call("leg", alive=True, far_end_asked=True), ended(16), (ClearCause.DECLINED, Side.FAR_END)),
        (Call("leg", alive=True), ended(16), (ClearCause.BRIDGE_ENDED, Side.BRIDGE)),
        (Call("leg", alive=True), ended(0), (ClearCause.UNKNOWN, Side.UNKNOWN)),
        (Call("leg", ring_s=45, ordered_at=1), ended(19, 480), (ClearCause.NO_ANSWER, Side.FAR_END)),
        (Call("leg", ring_s=5, ordered_at=1), ended(19, 480), (ClearCause.UNREACHABLE, Side.NETWORK)),
        (Call("leg", ring_s=5, ordered_at=1, alive=True), ended(19, 480), (ClearCause.NO_ANSWER, Side.FAR_END)),
        (Call("leg"), ended(58, 488), (ClearCause.NO_COMMON_MEDIA, Side.FAR_END)),
        (Call("leg"), ended(21, 603), (ClearCause.DECLINED, Side.FAR_END)),
        (Call("leg"), ended(21, 403), (ClearCause.NOT_ALLOWED, Side.FAR_END)),
        (Call("leg"), ended(111), (ClearCause.UNKNOWN, Side.UNKNOWN)),
        (Call("leg", channel="x", failed=3), None, (ClearCause.UNREACHABLE, Side.NETWORK)),
        (Call("leg", channel="x", failed=3, alive=True), None, (ClearCause.NO_ANSWER, Side.FAR_END)),
        (Call("leg"), None, (ClearCause.LOST, Side.UNKNOWN)),
    ],
)
def test_endings_that_were_not_captured(call: Call, end: HungUp | None, expected: tuple[ClearCause, Side]) -> None:
    found = verdict(call, end, now=10.0)
    assert (found.cause, found.side) == expected


def test_an_earlier_doubt_stands_and_a_cleared_call_is_not_doubted() -> None:
    table = Table()
    first, second = table.order("one"), table.order("two")
    table.calls.doubt(first, 5)
    table.calls.doubt(first, 1)
    table.calls.doubt(first, 9)
    table.calls.doubt(second, 1)
    table.calls.clear(second, Cleared(ClearCause.LOCAL, Side.OURS))
    assert table.calls.next_doubt() == 101.0
    assert table.calls.due() == []
    table.time = 101.0
    assert table.calls.due() == [first]
    assert table.calls.next_doubt() is None


def test_names_of_finished_legs_are_kept_up_to_a_bound() -> None:
    table = Table()
    for number in range(REMEMBERED + 1):
        table.calls.finish_unseen(f"leg-{number}")
    assert not table.calls.is_finished("leg-0")
    assert table.calls.is_finished("leg-1")
    assert table.told == []
