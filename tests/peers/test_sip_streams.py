"""Third-party calls over TLS and TCP with real peers: Asterisk and baresip, as near and as far side.

Certificates are made for the run. Needs what `make peers` needs (root, debootstrap, baresip).
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.causes import ClearCause, Side
from adapters.endpoints.sip.adapter import SipEndpoint
from adapters.events import LegConnected
from adapters.sip.agent import SipAgent
from adapters.sip.connection import Connection
from adapters.sip.names import Resolver
from adapters.sip.stream import Terms
from adapters.sip.tls import Tls, Trust
from adapters.values import Address, Control, DialOptions
from tests.peers.lab.asterisk import Asterisk, eyes
from tests.peers.lab.config import Instance
from tests.peers.lab.endpoint import Endpoint
from tests.peers.lab.run import lab_run
from tests.peers.mind import Mind as Orchestrator
from tests.support.certificate import Authority, Pair

pytestmark = pytest.mark.asyncio(loop_scope="module")

BRIDGE_IP, OURS_IP = "127.0.31.1", "127.0.31.40"
ROOM = "8001"
RUN = "streams"
LEG = "dc0a1b-31-{}-1"


def files(pair: Pair, authority: Authority) -> tuple[Path, Path, Path]:
    return pair.certificate, pair.key, authority.ca


@dataclass
class Lab:
    """A bridge and two endpoints that take UDP, TCP and TLS, and who vouches for them."""

    bridge: Asterisk
    one: Endpoint
    other: Endpoint
    authority: Authority
    stranger: Authority
    hosts: Path

    def address(self, who: str, transport: str) -> str:
        """How `asterisk`, `one` or `other` is called over `tcp`, `tls` or by `sips`; names stand in a hosts file."""
        user = ROOM if who == "asterisk" else who
        if transport == "sips":
            return f"sips:{user}@{who}.example:5061"
        port = 5061 if transport == "tls" else 5060
        return f"sip:{user}@{who}.example:{port};transport={transport}"

    async def is_empty(self) -> None:
        """Nobody has a call, each by its own list."""
        await self.bridge.manager.until_callers(ROOM)
        for endpoint in (self.one, self.other):
            await endpoint.until_calls()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    made = tmp_path_factory.mktemp("certificates")
    authority, stranger = Authority(made), Authority(made, "Somebody Else")
    hosts = made / "hosts"
    hosts.write_text(f"{BRIDGE_IP} asterisk.example\n127.0.31.21 one.example\n127.0.31.22 other.example\n")

    def tls(name: str) -> tuple[Path, Path, Path]:
        return files(authority.issue(f"{name}.example"), authority)

    async with lab_run(RUN) as run:
        lab = Lab(
            run.asterisk(Instance(RUN, BRIDGE_IP, [eyes()], tls=tls("asterisk"))),
            run.endpoint("one", "127.0.31.21", tls=tls("one")),
            run.endpoint("other", "127.0.31.22", tls=tls("other")),
            authority,
            stranger,
            hosts,
        )
        await run.start()
        yield lab


class Mind(Orchestrator):
    """It shows a certificate with its address, as an installation with one does."""

    def __init__(self, lab: Lab, near: str, *, ca: Path | None = None, own: bool = True, **options: Any) -> None:
        pair = lab.authority.issue(OURS_IP) if own else None
        trust = Trust(pair.certificate if pair else None, pair.key if pair else None, ca or lab.authority.ca)
        super().__init__(SipAgent(OURS_IP, 0, tls=Tls(trust), resolver=Resolver(hosts=lab.hosts), **options))
        self.endpoint = SipEndpoint(Control("site", addresses=(Address.parse(near),)), self.surroundings)

    @property
    def connections(self) -> list[Connection]:
        bound = self.agent.routes.at(self.agent.address)
        return [*bound.tcp._connections.values(), *bound.tls._connections.values()]


@pytest.mark.rfc("3261", "18.1.1", "26.2.1")
@pytest.mark.parametrize(
    ("transport", "near", "far", "ends"),
    [
        ("tcp", "one", "asterisk", "the endpoint"),
        ("tcp", "asterisk", "one", "we"),
        ("tls", "one", "asterisk", "the endpoint"),
        ("tls", "asterisk", "one", "we"),
        ("tls", "one", "other", "we"),
        ("sips", "one", "asterisk", "we"),
        ("sips", "asterisk", "one", "the endpoint"),
        ("sips", "one", "other", "the endpoint"),
    ],
)
@pytest.mark.rfc("3261", "26.2.2")
async def test_media_flow_and_both_sides_hear_of_the_end(
    lab: Lab, transport: str, near: str, far: str, ends: str
) -> None:
    leg = LEG.format(f"{transport}{near}{far}{len(ends)}")
    async with Mind(lab, lab.address(near, transport)) as mind:
        await mind.endpoint.dial(leg, Address.parse(lab.address(far, transport)), DialOptions(ring_s=20))
        await mind.heard.event(LegConnected, leg)
        await lab.one.until_sound()
        wanted = "TCP" if transport == "tcp" else "TLS"
        assert {connection.transport for connection in mind.connections} == {wanted}
        if ends == "we":
            await mind.endpoint.hang_up(leg)
        else:
            await lab.one.hang_up()
        cleared = (await mind.heard.cleared(leg)).cleared
        side = Side.OURS if ends == "we" else Side.FAR_END if near == "one" else Side.BRIDGE
        assert cleared.side is side
        await lab.is_empty()
        assert len(mind.agent) == 0


@pytest.mark.parametrize("far", ["asterisk", "other"])
@pytest.mark.rfc("5923", "8.1")
async def test_without_a_certificate_of_ours_the_far_end_still_finds_us(lab: Lab, far: str) -> None:
    leg = LEG.format(f"bare{far}")
    async with Mind(lab, lab.address("one", "tls"), own=False) as mind:
        await mind.endpoint.dial(leg, Address.parse(lab.address(far, "tls")), DialOptions(ring_s=20))
        await mind.heard.event(LegConnected, leg)
        await lab.one.hang_up()  # its BYE has nothing but the connection that we opened
        assert (await mind.heard.cleared(leg)).cleared.side is Side.FAR_END
        await lab.is_empty()


@pytest.mark.parametrize("near", ["asterisk", "one"])
@pytest.mark.rfc("5922", "7.2")
async def test_who_cannot_be_believed_is_told_in_the_leg(lab: Lab, near: str) -> None:
    leg = LEG.format(f"wrong{near}")
    async with Mind(lab, lab.address(near, "sips"), ca=lab.stranger.ca) as mind:
        await mind.endpoint.dial(leg, Address.parse(lab.address("other", "sips")), DialOptions(ring_s=20))
        cleared = (await mind.heard.cleared(leg)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.UNREACHABLE, Side.NETWORK)
        assert f"TLS to {near}.example:5061: the certificate's issuer 'CN=Test CA' is not trusted" in cleared.raw


@pytest.mark.rfc("5626", "3.5.1")
@pytest.mark.parametrize(("peer", "answers"), [("asterisk", False), ("one", True)])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.rfc("5626", "4.4.1")
async def test_who_answers_a_ping(lab: Lab, transport: str, peer: str, answers: bool) -> None:
    async with Mind(lab, lab.address(peer, transport), terms=Terms(ping_s=(0.05, 0.1), pong_s=1.0)) as mind:
        assert await mind.agent.options(lab.address(peer, transport)) is not None
        (connection,) = mind.connections
        async with asyncio.timeout(20):
            while not connection.answers and connection.unanswered < 3:  # noqa: ASYNC110 - tells of no event
                await asyncio.sleep(0.05)
        assert connection.answers is answers
        assert not connection.closed
