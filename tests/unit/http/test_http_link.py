"""One HTTP session: bounded, redacted, ended in the middle, forgotten by the device, and past every proxy."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from adapters.errors import AdapterError, Busy, Garbled, NotSupported, OutcomeUnknown, Rejected, SessionLost
from adapters.events import LegCleared, LegConnected, SessionGone, SessionReady
from adapters.http.order import Answer, Request
from adapters.http.server import HttpServer, Peer
from adapters.http.wire import MOST_BODY
from adapters.values import DialOptions
from tests.conformance.vendor.families.huawei import BOX, TE
from tests.conformance.vendor.rig import Rig, quick
from tests.support.port import free_port
from tests.unit.sip.stage import until

LEG = "dc0a1b-1-2-1"


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig(TE)
    try:
        yield await rig.start()
    finally:
        await rig.stop()


async def test_an_answer_without_an_end_ends_the_session(rig: Rig) -> None:
    endpoint = rig.adapter(profile=quick(TE.profile, reply_s=10.0))
    await endpoint.open()
    host, port = rig.twin.address
    await rig.twin.stop()
    most_sent = 0

    async def flood(peer: Peer, request: Request) -> None:
        nonlocal most_sent
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        sent = 0
        while peer.is_open and sent < 50 * MOST_BODY:
            sent += 65_536
            most_sent = max(sent, most_sent)
            await peer.send(b"x" * 65_536)

    flooding = HttpServer(flood)
    await flooding.start(host, port)
    try:
        with pytest.raises(SessionLost):
            for _ in range(3):  # the first may find the old connection closed
                await endpoint.status()
        await rig.heard.until(lambda: rig.heard.of(SessionGone))
        with pytest.raises(AdapterError, match="more than 1000000 bytes"):
            await endpoint.open()
    finally:
        await flooding.stop()
    assert most_sent < 50 * MOST_BODY, "it was read to its end"


@pytest.mark.parametrize("vendor", [BOX, TE], ids=str)
async def test_sessions_and_tokens_are_written_down_nowhere(vendor: object, caplog: pytest.LogCaptureFixture) -> None:
    rig = await Rig(vendor).start()  # type: ignore[arg-type]
    try:
        with caplog.at_level(logging.DEBUG):
            endpoint = rig.adapter()
            await endpoint.open()
            await endpoint.dial(LEG, rig.to, DialOptions(ring_s=30))
            await rig.heard.event(LegConnected, LEG)
            secrets = {part for pair in rig.twin.sessions.items() for part in pair if part}  # type: ignore[attr-defined]
            assert len(secrets) >= 2
            rig.twin.faults.script("drop at WEB_HangupCallAPI")
            with pytest.raises(OutcomeUnknown) as lost:
                await endpoint.hang_up(LEG)
            link = endpoint._session._link
        places = (
            rig.tapes[-1].text(),
            caplog.text,
            str(lost.value),
            lost.value.trace,
            repr(rig.heard.events),
            repr(link),
        )
        for secret in (*secrets, vendor.secret):  # type: ignore[attr-defined]
            assert all(secret not in place for place in places)
        assert "SessionID=***" in places[0] and '"password":"***"' in places[0]
    finally:
        await rig.stop()


async def test_a_session_that_the_device_forgot_is_told_from_a_refusal(rig: Rig) -> None:
    endpoint = rig.adapter(profile=quick(TE.profile, idle_poll_s=60.0))
    await endpoint.open()
    rig.twin.faults.script("refuse at WEB_OpenMicAPI")
    with pytest.raises(NotSupported):  # this one says 404
        await endpoint.mute(False)
    with pytest.raises(Rejected, match="no call is ringing"):
        await endpoint.answer(LEG)
    rig.twin.end_sessions()  # type: ignore[attr-defined]
    with pytest.raises(SessionLost):  # not OutcomeUnknown: who does not know us has done nothing
        await endpoint.mute(True)
    assert not rig.codec.is_muted
    await rig.heard.until(lambda: rig.heard.of(SessionReady))
    await endpoint.mute(True)
    assert rig.codec.is_muted and rig.twin.log_ins == 2


async def test_closed_in_the_middle_of_an_order_nobody_waits_for_ever(rig: Rig) -> None:
    endpoint = rig.adapter(profile=quick(TE.profile, reply_s=60.0, idle_poll_s=60.0))
    await endpoint.open()
    rig.twin.faults.script("silent at WEB_CloseMicAPI")
    muting = asyncio.ensure_future(endpoint.mute(True))
    asking = asyncio.ensure_future(endpoint.status())
    await until(lambda: rig.codec.is_muted)
    async with asyncio.timeout(10):
        await endpoint.close()
        with pytest.raises(OutcomeUnknown):
            await muting
        with pytest.raises(SessionLost):
            await asking


async def test_proxies_of_the_environment_are_no_way_to_a_device(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port('127.0.0.1')}")
    await rig.adapter().open()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(404), NotSupported),
        (Answer(503), Busy),
        (Answer(500), Garbled),
        (Answer(200), Garbled),
        (Answer(200, (), b'{"success":1,"data":""}'), Garbled),  # an empty text is not "no call"
        (Answer(200, (), b'{"success":1,"data":"{\\"state\\":"}'), Garbled),
        (Answer(200, (), b"[" * 60_000), Garbled),
        (Answer(200, (), b"\xff\xfe"), Garbled),
        (Answer(302, (("Location", "http://127.0.0.1:1/"),)), Garbled),
        (Answer(401), SessionLost),
        (Answer(200, (), b'{"success":0}'), SessionLost),  # of this question it can only be that
    ],
    ids=str,
)
async def test_what_an_answer_is_when_it_is_none(rig: Rig, answer: Answer, kind: type) -> None:
    endpoint = rig.adapter(profile=quick(TE.profile, idle_poll_s=60.0))
    await endpoint.open()
    took = rig.twin.took  # type: ignore[attr-defined]
    rig.twin.took = lambda request: answer if "Mailbox" in request.target else took(request)  # type: ignore[attr-defined]
    with pytest.raises(kind):
        await endpoint.status()
    assert not rig.heard.of(LegCleared)
    assert bool(rig.heard.of(SessionGone)) is (kind is SessionLost)
