"""Transactions with the clock in hand (RFC 3261 section 17, RFC 6026)."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.sip.dialog import Dialog
from adapters.sip.message import Request, Response, parse, response_to
from adapters.sip.transaction import Deliver, Expired, Send, Server, Timing, Transactions
from adapters.sip.wheel import Wheel

T = Timing()


def about(times: list[float]) -> Any:
    """These instants; each repetition may be a grain or two of the wheel late."""
    return pytest.approx(times, abs=0.2)


@dataclass(eq=False)
class Way:
    reliable: bool = False
    transport: str = "UDP"
    host: str = "192.0.2.2"
    port: int = 5060
    closed: bool = False


@dataclass
class Bench:
    """A transaction layer, its clock, and what it has asked for so far."""

    layer: Transactions = field(default_factory=lambda: Transactions(T, Wheel(0.005)))
    now: float = 100.0
    sent: list[tuple[float, str]] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    def look(self) -> None:
        actions, self.layer.out = self.layer.out, []
        for action in actions:
            if isinstance(action, Send):
                self.sent.append((self.now - 100, action.data.decode().split("\r\n")[0]))
            else:
                self.told.append(action)

    def run(self, until: float) -> None:
        """Let the clock go on to `until`, counted from the beginning."""
        while self.now < 100 + until:
            self.now += 0.01
            for timed in self.layer.wheel.advance(self.now):
                timed.expire(self.now)
            self.look()

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]

    @property
    def lines(self) -> list[str]:
        return [line for _, line in self.sent]


def request(method: str, branch: str = "z9hG4bK1", cseq: int = 1) -> Request:
    dialog = Dialog("id", "<sip:a@h>", "ft", "<sip:b@h>", "sip:b@h", cseq - 1)
    made = dialog.request(method, branch)
    made.headers["via"] = [f"SIP/2.0/UDP h:1;branch={branch};rport"]
    return made


def reply(to: Request, status: int, tag: str = "tt") -> Response:
    """A response of a peer that fills our rport in."""
    message = parse(response_to(to, status, to_tag=tag).to_bytes().replace(b";rport", b";rport=1"))
    assert isinstance(message, Response)
    return message


def begin(method: str, way: Way | None = None) -> tuple[Bench, Request, Way]:
    bench, way = Bench(), way or Way()
    made = request(method)
    bench.layer.start(made, way, None, bench.now)
    bench.look()
    return bench, made, way


def statuses(bench: Bench) -> list[int]:
    return [told.response.status for told in bench.told if isinstance(told, Deliver)]


@pytest.mark.rfc("3261", "17.1.1.2")
def test_an_invite_is_repeated_at_doubling_gaps_and_given_up_after_32_s() -> None:
    bench, _, _ = begin("INVITE")
    bench.run(40)
    assert bench.times == about([0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
    assert [type(told) for told in bench.told] == [Expired]
    assert bench.told[0].why == "timeout"
    assert len(bench.layer) == 0
    assert not bench.layer.wheel


@pytest.mark.rfc("3261", "17.1.2.2")
def test_another_request_is_repeated_at_gaps_up_to_t2() -> None:
    bench, _, _ = begin("BYE")
    bench.run(40)
    assert bench.times == about([0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5])
    assert bench.told[0].why == "timeout"


@pytest.mark.rfc("3261", "17.1.1.2", "17.1.2.2")
def test_nothing_is_repeated_over_tcp() -> None:
    for method in ("INVITE", "BYE"):
        bench, _, _ = begin(method, Way(reliable=True, transport="TCP"))
        bench.run(40)
        assert bench.times == about([0.0])
        assert bench.told[0].why == "timeout"


@pytest.mark.rfc("3261", "17.1.1.2", "17.1.2.2")
def test_a_1xx_stops_an_invite_and_slows_another_request() -> None:
    bench, invite, way = begin("INVITE")
    bench.layer.response(reply(invite, 180), way, bench.now)
    bench.look()
    bench.run(60)
    assert bench.times == about([0.0])
    assert statuses(bench) == [180]
    bench, info, way = begin("INFO")
    bench.layer.response(reply(info, 100), way, bench.now)
    bench.run(10)
    assert bench.times == about([0.0, 4.0, 8.0])


@pytest.mark.rfc("3261", "17.1.1.3")
def test_a_refused_invite_is_acknowledged_each_time_and_told_once() -> None:
    bench, invite, way = begin("INVITE")
    for _ in range(3):
        assert bench.layer.response(reply(invite, 486), way, bench.now)
        bench.look()
    assert bench.lines[1:] == ["ACK sip:b@h SIP/2.0"] * 3
    assert statuses(bench) == [486]
    bench.run(33)
    assert len(bench.layer) == 0


@pytest.mark.rfc("6026", "7.2")
def test_every_2xx_of_an_invite_is_told_for_32_s() -> None:
    bench, invite, way = begin("INVITE")
    for tag in ("one", "one", "two"):
        bench.layer.response(reply(invite, 200, tag), way, bench.now)
    bench.look()
    assert statuses(bench) == [200, 200, 200]
    assert not bench.layer.response(reply(invite, 200), Way(host="192.0.2.66"), bench.now)
    bench.run(33)
    assert len(bench.layer) == 0
    assert not bench.layer.response(reply(invite, 200), way, bench.now)
    assert bench.lines == ["INVITE sip:b@h SIP/2.0"]


@pytest.mark.rfc("3261", "17.1.3", "18.1.2")
def test_a_response_is_believed_only_from_where_the_request_went() -> None:
    bench, bye, way = begin("BYE")
    for stranger in (Way(host="192.0.2.66"), Way(port=5061)):
        assert not bench.layer.response(reply(bye, 200), stranger, bench.now)
    wrong = reply(bye, 200)
    wrong.from_tag = "other"
    assert not bench.layer.response(wrong, way, bench.now)
    wrong = reply(bye, 200)
    wrong.call_id = "other"
    assert not bench.layer.response(wrong, way, bench.now)
    wrong = reply(bye, 200)
    wrong.cseq = 2
    assert not bench.layer.response(wrong, way, bench.now)
    wrong = reply(bye, 200)
    wrong.cseq_method = "INFO"
    assert not bench.layer.response(wrong, way, bench.now)
    assert bench.told == []
    assert bench.layer.response(reply(bye, 200), way, bench.now)


@pytest.mark.rfc("3581", "3")
@pytest.mark.rfc("3261", "18.2.2")
def test_a_peer_that_knows_no_rport_may_answer_from_another_port() -> None:
    bench, bye, _ = begin("BYE")
    old = reply(bye, 200)
    old.headers["via"] = ["SIP/2.0/UDP h:1;branch=z9hG4bK1"]
    assert bench.layer.response(old, Way(port=5099), bench.now)


@pytest.mark.rfc("3261", "18.4", "17.1.4")
def test_a_datagram_that_was_refused_ends_the_wait_unless_somebody_has_answered() -> None:
    bench, _, _ = begin("INVITE")
    bench.layer.request_failed("z9hG4bK1", "INVITE", bench.now)
    bench.look()
    assert bench.told[0].why == "transport"
    bench, invite, way = begin("INVITE")
    bench.layer.response(reply(invite, 180), way, bench.now)
    bench.layer.request_failed("z9hG4bK1", "INVITE", bench.now)
    bench.look()
    assert statuses(bench) == [180]
    assert len(bench.told) == 1


@pytest.mark.rfc("3261", "17.1.4")
def test_a_lost_connection_fails_what_waits_on_it_and_nothing_else() -> None:
    bench, gone, other = Bench(), Way(reliable=True), Way(reliable=True)
    bench.layer.start(request("BYE", "z9hG4bKa"), gone, "a", bench.now)
    bench.layer.start(request("BYE", "z9hG4bKb"), other, "b", bench.now)
    bench.layer.flow_failed(gone, bench.now)
    bench.look()
    assert [told.transaction.user for told in bench.told] == ["a"]
    assert len(bench.layer) == 1


# -- the server's side --------------------------------------------------------------------


def take(method: str, way: Way | None = None) -> tuple[Bench, Request, Way, Server]:
    bench, way = Bench(), way or Way()
    made = request(method)
    server = bench.layer.request(made, way, bench.now)
    assert server is not None
    return bench, made, way, server


@pytest.mark.rfc("3261", "17.2.2")
def test_a_repeated_request_gets_the_same_answer_and_is_not_told_again() -> None:
    bench, info, way, server = take("INFO")
    assert bench.layer.request(info, way, bench.now) is None
    server.respond(response_to(info, 200, to_tag="t"), bench.now)
    assert bench.layer.request(info, way, bench.now) is None
    bench.look()
    assert bench.lines == ["SIP/2.0 200 OK"] * 2
    server.respond(response_to(info, 500, to_tag="t"), bench.now)
    bench.look()
    assert len(bench.lines) == 2
    bench.run(33)
    assert len(bench.layer) == 0


@pytest.mark.rfc("3261", "13.3.1.4")
@pytest.mark.rfc("6026", "7.1")
def test_a_2xx_is_repeated_until_the_ack_and_given_up_after_32_s() -> None:
    bench, invite, way, server = take("INVITE")
    server.respond(response_to(invite, 200, to_tag="t"), bench.now)
    bench.look()
    bench.run(2)
    assert bench.times == about([0.0, 0.5, 1.5])
    server.acked(bench.now)
    bench.run(10)
    assert len(bench.sent) == 3
    assert bench.layer.request(invite, way, bench.now) is None
    bench.run(40)
    assert (bench.told, len(bench.layer)) == ([], 0)

    bench, invite, _, server = take("INVITE", Way(reliable=True))
    server.respond(response_to(invite, 200, to_tag="t"), bench.now)
    bench.run(40)
    assert len(bench.sent) > 5  # over TCP as well: it is end to end (section 13.3.1.4)
    assert [told.why for told in bench.told] == ["no ack"]


@pytest.mark.rfc("3261", "17.2.1")
def test_a_refusal_is_repeated_until_its_own_ack() -> None:
    bench, invite, _, server = take("INVITE")
    server.respond(response_to(invite, 486, to_tag="t"), bench.now)
    bench.look()
    bench.run(2)
    assert bench.times == about([0.0, 0.5, 1.5])
    assert bench.layer.ack(request("ACK"), bench.now)
    bench.run(4)
    assert len(bench.sent) == 3
    assert not bench.layer.ack(request("ACK", "z9hG4bKother"), bench.now)
    bench.run(20)
    assert (bench.told, len(bench.layer)) == ([], 0)


@pytest.mark.rfc("3261", "17.1.1.3")
@pytest.mark.rfc("6026", "7.1")
def test_the_ack_of_a_2xx_is_not_the_transactions() -> None:
    bench, invite, _, server = take("INVITE")
    server.respond(response_to(invite, 200, to_tag="t"), bench.now)
    assert not bench.layer.ack(request("ACK"), bench.now)


@pytest.mark.rfc("3261", "17.2.3")
def test_a_branch_is_one_callers_and_one_methods() -> None:
    bench, _, way, server = take("INVITE")
    other = request("INVITE")
    other.headers["via"] = ["SIP/2.0/UDP elsewhere:1;branch=z9hG4bK1"]
    assert bench.layer.request(other, way, bench.now) is not None
    cancel = request("CANCEL")
    assert bench.layer.invite_of(cancel) is server
    assert bench.layer.request(cancel, way, bench.now) is not None


@pytest.mark.rfc("3261", "17.2.3")
def test_callers_of_before_rfc_3261_are_told_apart_without_a_branch() -> None:
    bench, way = Bench(), Way()
    for cseq in (1, 1, 2):
        old = request("INFO", cseq=cseq)
        old.branch = ""
        bench.layer.request(old, way, bench.now)
    assert len(bench.layer) == 2


@pytest.mark.parametrize("reliable", [False, True])
def test_the_same_order_once_more_takes_the_place_of_the_one_before(reliable: bool) -> None:
    way = Way(reliable=reliable)
    bench, first, _ = begin("INVITE", way)
    bench.layer.response(reply(first, 486), way, bench.now)
    bench.run(1)
    second = request("INVITE")
    bench.layer.start(second, way, "second", bench.now)
    bench.run(20)
    assert bench.layer.response(reply(second, 180), way, bench.now)
    bench.run(40)  # past the time at which the first one would have been forgotten
    assert len(bench.layer) == 1
    assert bench.layer.response(reply(second, 200), way, bench.now)
    bench.look()
    assert [told.client.user for told in bench.told if isinstance(told, Deliver)][1:] == ["second", "second"]
    bench.run(80)
    assert len(bench.layer) == 0
    assert not bench.layer._by_flow
