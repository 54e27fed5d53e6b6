"""The 21 things that pyVoIP 1.6.8 was measured to do wrong: the line check does each right, over real sockets.

Where it needs nothing but the class itself, plain pyVoIP is seen doing it wrong beside it: the day such an
assertion fails, pyVoIP has changed and the work-around can go.
"""

import asyncio
import audioop
import inspect
import struct
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import pyVoIP.VoIP
from pyVoIP import RTP, SIP

from adapters.causes import ClearCause
from adapters.linecheck import rtcp
from adapters.linecheck.media import RecentSound, Sound
from adapters.linecheck.offer import far_sound
from adapters.linecheck.order import LineEnd
from adapters.linecheck.packet import Packet
from adapters.linecheck.ports import NoPorts, Ports
from adapters.sip.message import Request, Response
from tests.unit.linecheck.conftest import Scene
from tests.unit.linecheck.far import description, rtp
from tests.unit.sip.wire import WAIT_S, Wire

_TYPES = {0: RTP.PayloadType.PCMU, 8: RTP.PayloadType.PCMA}


# 1
async def test_ack_carries_the_tag_of_the_200(scene: Scene) -> None:
    invite = await scene.begin()
    ack = await scene.answer(invite, tag="tag-of-the-200")
    assert (ack.to_tag, ack.cseq, ack.uri) == ("tag-of-the-200", invite.cseq, scene.peer.uri())
    assert (await scene.over()).end is LineEnd.MEASURED
    assert "gen_tag" in inspect.getsource(SIP.SIPClient.gen_ack)  # theirs makes one up


# 2
async def test_call_ids_never_come_twice_and_an_old_200_is_not_believed(scene: Scene) -> None:
    first = await scene.begin()
    scene.peer.reply(first, 486)
    await scene.report()
    second = await scene.begin()
    assert first.call_id != second.call_id and first.branch != second.branch
    scene.peer.reply(first, 200, body=description(scene.far.port))  # of the call before
    scene.peer.reply(second, 486)
    report = await scene.report()
    assert (report.end, report.status, scene.far.heard) == (LineEnd.NO_CALL, 486, [])

    def theirs() -> str:
        phone = pyVoIP.VoIP.VoIPPhone("127.0.0.1", 5060, "u", "p", myIP="127.0.0.1")
        return phone.sip.gen_call_id()

    assert theirs() == theirs()  # two "processes", one Call-ID


# 3
@pytest.mark.parametrize("status", [404, 407, 480, 500, 603])
async def test_any_final_response_ends_the_wait(scene: Scene, status: int) -> None:
    scene.peer.reply(await scene.begin(), status)
    report = await scene.report()
    assert (report.end, report.status) == (LineEnd.NO_CALL, status)


async def test_a_direct_200_and_a_183_are_taken(scene: Scene) -> None:
    await scene.answer(await scene.begin())
    assert (await scene.over()).received
    invite = await scene.begin()
    scene.peer.reply(invite, 183)
    await scene.answer(invite)
    assert (await scene.over()).received


async def test_a_lost_invite_is_sent_again_and_silence_is_not_waited_for_without_end(scene: Scene) -> None:
    invite = await scene.begin()
    again = await scene.invited()
    assert again.branch == invite.branch
    report = await scene.report()
    assert (report.end, report.cause) == (LineEnd.NO_CALL, ClearCause.UNREACHABLE)
    wait = inspect.getsource(SIP.SIPClient.invite)
    assert "self.s.recv(8192)" in wait and "timeout" not in wait


# 4
@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (486, ClearCause.BUSY),
        (603, ClearCause.DECLINED),
        (404, ClearCause.NOT_FOUND),
        (488, ClearCause.NO_COMMON_MEDIA),
        (503, ClearCause.UNREACHABLE),
    ],
)
async def test_busy_is_acknowledged(scene: Scene, status: int, cause: ClearCause) -> None:
    invite = await scene.begin()
    scene.peer.reply(invite, status, tag="no")
    ack = await scene.peer.next("ACK")
    assert (ack.branch, ack.to_tag) == (invite.branch, "no")
    report = await scene.report()
    assert (report.cause, report.status) == (cause, status)
    handled = inspect.getsource(pyVoIP.VoIP.VoIPPhone.callback)
    assert "BUSY" not in handled and "DECLINE" not in handled


# 5
async def test_a_ringing_call_is_cancelled(scene: Scene) -> None:
    invite = await scene.begin(ring_s=1.0)
    scene.peer.reply(invite, 180)
    cancel = await scene.peer.next("CANCEL")
    assert cancel.branch == invite.branch
    scene.peer.reply(cancel, 200)
    scene.peer.reply(invite, 487)
    report = await scene.report()
    assert (report.end, report.cause) == (LineEnd.NO_CALL, ClearCause.NO_ANSWER)
    assert report.post_dial_s is not None and report.answer_s is None
    assert not hasattr(SIP.SIPClient, "cancel") and not hasattr(pyVoIP.VoIP.VoIPCall, "cancel")


# 6
@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_a_challenge_is_answered_with_qop_and_its_own_algorithm(
    scene: Scene, status: int, algorithm: str
) -> None:
    invite = await scene.begin(login=("qt17", "not-to-be-told"))
    asks, answers = {
        401: ("WWW-Authenticate", "authorization"),
        407: ("Proxy-Authenticate", "proxy-authorization"),
    }[status]
    challenge = f'Digest realm="r", nonce="n1", qop="auth", algorithm={algorithm}'
    scene.peer.reply(invite, status, headers=[(asks, challenge)])
    signed = await scene.peer.next("INVITE", after=invite)
    value = signed.get(answers)
    assert f"algorithm={algorithm}" in value and "qop=auth" in value and "nc=00000001" in value
    await scene.answer(signed)
    assert (await scene.over()).received
    assert "algorithm=MD5" in inspect.getsource(SIP.SIPClient.invite)  # whatever was asked


# 7
async def test_bfcp_line_does_not_break_the_call(scene: Scene) -> None:
    more = (
        "m=application 20050 TCP/BFCP *\r\na=floorctrl:s-only\r\na=confid:1\r\n"
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    )
    sdp = description(scene.far.port, more=more)
    await scene.answer(await scene.begin(), sdp)
    report = await scene.over()
    assert report.end is LineEnd.MEASURED and report.received
    head = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h:1;branch=b\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\n"
    head += "Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\r\n"
    with pytest.raises(ValueError, match="TCP/BFCP"):
        SIP.SIPMessage(head.encode() + sdp)


async def test_the_offer_has_one_audio_line(scene: Scene) -> None:
    invite = await scene.begin()
    lines = [line for line in invite.body.decode().split("\r\n") if line.startswith("m=")]
    assert len(lines) == 1 and lines[0].startswith("m=audio ") and lines[0].endswith(" RTP/AVP 0 8 101")
    await scene.answer(invite)
    await scene.over()


# 8
async def test_a_dynamic_payload_first_does_not_break_the_call(scene: Scene) -> None:
    lines = "a=rtpmap:99 MPEG4-GENERIC/48000/2\r\na=rtpmap:98 G7221/16000\r\na=rtpmap:107 PCMA/8000\r\n"
    await scene.answer(await scene.begin(), description(scene.far.port, "99 98 107 0 101", lines))
    await scene.far.packets(3)
    assert {data[1] & 0x7F for data in scene.far.heard} == {107}
    report = await scene.over()
    assert (report.end, report.codec) == (LineEnd.MEASURED, "PCMA")


async def test_an_answer_without_g711_is_no_common_media(scene: Scene) -> None:
    sdp = description(scene.far.port, "99", "a=rtpmap:99 opus/48000/2\r\n")
    await scene.answer(await scene.begin(), sdp)
    report = await scene.over()
    assert (report.end, report.cause) == (LineEnd.NO_CALL, ClearCause.NO_COMMON_MEDIA)
    assert far_sound(sdp) is None


# 9
async def test_a_reinvite_does_not_double_the_stream(scene: Scene) -> None:
    invite = await scene.begin(seconds=2.0)
    ack = await scene.answer(invite)
    await scene.far.packets(10)
    other = await scene.another_far()
    fields = {"to_tag": ack.from_tag, "from_tag": ack.to_tag, "call_id": invite.call_id}
    scene.peer.request("INVITE", scene.agent.address, cseq=7, body=description(other.port), **fields)
    answer = await scene.peer.next(200, method="INVITE")
    assert answer.body.count(b"m=audio") == 1
    scene.peer.request("ACK", scene.agent.address, cseq=7, **fields)
    await other.packets(10)
    await scene.over()
    packets = [*scene.far.heard, *other.heard]
    assert len({data[8:12] for data in packets}) == 1, "one stream, one SSRC"
    numbers = [int.from_bytes(data[2:4], "big") for data in packets]
    assert [(b - a) & 0xFFFF for a, b in pairwise(numbers)] == [1] * (len(numbers) - 1)
    assert len(packets) <= 2.0 * 50 + 2
    assert inspect.getsource(RTP.RTPClient.start).count(".start()") == 2  # theirs: two threads more, each time


async def test_starting_twice_is_starting_once(scene: Scene) -> None:
    sound = Sound(Ports().take("127.0.0.1"), far_sound(description(scene.far.port)), 5.0)  # type: ignore[arg-type]
    sound.start()
    sound.start()
    await scene.far.packets(20)
    took_s = scene.far.times[19] - scene.far.times[0]
    sound.stop()
    assert len(scene.far.ssrcs) == 1 and took_s > 0.19  # 19 distances of 20 ms, not half of it


# 10
@pytest.mark.parametrize("method", ["OPTIONS", "UPDATE", "INFO", "NOTIFY"])
async def test_requests_inside_the_call_are_answered(scene: Scene, method: str) -> None:
    invite = await scene.begin()
    ack = await scene.answer(invite)
    fields = {"to_tag": ack.from_tag, "from_tag": ack.to_tag, "call_id": invite.call_id}
    scene.peer.request(method, scene.agent.address, cseq=3, **fields)  # type: ignore[arg-type]
    await scene.peer.next(200, method=method)
    assert (await scene.over()).received
    assert pyVoIP.SIPCompatibleMethods == ["INVITE", "ACK", "BYE", "CANCEL"]


async def test_refer_and_what_nobody_knows_get_an_answer(scene: Scene) -> None:
    invite = await scene.begin()
    ack = await scene.answer(invite)
    for number, method in enumerate(("REFER", "PUBLISH"), 3):
        scene.peer.request(
            method, scene.agent.address, cseq=number,
            to_tag=ack.from_tag, from_tag=ack.to_tag, call_id=invite.call_id,
        )  # fmt: skip
        async with asyncio.timeout(WAIT_S):
            answer, _ = await scene.peer._fresh.get()
            while not (isinstance(answer, Response) and answer.cseq_method == method):
                answer, _ = await scene.peer._fresh.get()
        assert answer.status >= 200
    assert (await scene.over()).received


# 11
async def test_bye_goes_to_the_contact_along_the_record_route(scene: Scene) -> None:
    invite = await scene.begin()
    host, port = scene.peer.address
    route = f"<sip:{host}:{port};lr;x=1>"
    await scene.answer(invite, headers=[("Record-Route", route)])
    bye: Request = await scene.peer.next("BYE")
    assert bye.uri == scene.peer.uri() and bye.listed("route") == [route]
    assert bye.cseq == invite.cseq + 1
    scene.peer.reply(bye, 200)
    await scene.report()
    assert "Record-Route" not in inspect.getsource(SIP)


# 12
async def test_compact_folded_and_unreadable_headers_are_read(scene: Scene) -> None:
    invite = await scene.begin()
    sdp = description(scene.far.port) + b"a=x-room:ph\xf2ng\r\n"
    head = [
        "SIP/2.0 200 OK",
        f"v:{invite.get('via')}",
        f"f:{invite.get('from')}",
        "t: <sip:600@h>\r\n ;tag=folded",
        f"i:{invite.call_id}",
        f"CSeq:\t{invite.cseq}  INVITE",
        f"m:<{scene.peer.uri()}>",
        "s: caf\udce9",
        "c:application/sdp",
        f"l:{len(sdp)}",
    ]
    scene.peer.send("\r\n".join(head).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + sdp)
    ack = await scene.peer.next("ACK")
    assert ack.to_tag == "folded"
    assert (await scene.over()).received
    with pytest.raises((KeyError, IndexError, ValueError, UnicodeDecodeError)):
        SIP.SIPMessage("\r\n".join(head).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + sdp)


# 13
async def test_one_agent_calls_many_servers_and_registers_nowhere(scene: Scene) -> None:
    first = await scene.begin()
    scene.peer.reply(first, 486)
    await scene.report()
    home, scene.peer = scene.peer, await Wire.open("127.0.0.2")
    second = await scene.begin()
    scene.peer.reply(second, 486)
    assert (await scene.report()).status == 486
    heard = [message.method for peer in (home, scene.peer) for message in peer.heard if isinstance(message, Request)]
    home.close()
    assert "REGISTER" not in heard and heard.count("INVITE") >= 2
    assert "self.register()" in inspect.getsource(SIP.SIPClient.start)


# 14
async def test_pcma_is_sent_as_a_law(scene: Scene) -> None:
    await scene.answer(await scene.begin(), description(scene.far.port, "8 101"))
    await scene.far.packets(20)
    report = await scene.over()
    assert report.codec == "PCMA" and {data[1] & 0x7F for data in scene.far.heard} == {8}
    payloads = [data[12:] for data in scene.far.heard]
    tone, quiet = payloads[0], min(payloads, key=lambda each: audioop.rms(audioop.alaw2lin(each, 2), 2))
    heard = audioop.alaw2lin(tone, 1)
    level = audioop.rms(heard, 1)
    assert 17 <= level <= 24, "-16 dBov, as sent"
    assert audioop.rms(audioop.alaw2lin(quiet, 2), 2) <= 8
    plain = RTP.RTPClient(_TYPES | {}, "", 0, "", 0, RTP.TransmitType.SENDRECV)
    plain.preference = RTP.PayloadType.PCMA
    sound = bytes(128 + n % 20 for n in range(160))
    assert plain.encode_packet(sound) == plain.encode_pcmu(sound) != plain.encode_pcma(sound)


# 15
async def test_what_comes_is_kept_within_bounds(scene: Scene) -> None:
    await scene.answer(await scene.begin(seconds=2.0))
    await scene.far.packets(10)
    for number in range(5000):
        scene.far.say(rtp(number, number * 160))
        if number % 100 == 0:
            await asyncio.sleep(0)
    sound = scene.checks[-1].sound
    assert sound is not None
    await scene.over()
    assert isinstance(sound.pmin, RecentSound) and sound.pmin.held <= 8000
    assert sound.pmin.log == {} and len(sound.heard.came) <= 2 * 50 + 500
    plain = RTP.RTPPacketManager()
    for number in range(5000):
        plain.write(number * 160, b"\x80" * 160)
    assert len(plain.log) == 5000


# 16
async def test_sequence_and_timestamp_wrap_extension_csrc_and_padding(scene: Scene) -> None:
    def mangle(number: int, data: bytes) -> list[bytes]:
        shape = [{}, {"csrc": 2}, {"extension": bytes(8)}, {"padding": 4}][number % 4]
        if number in (20, 21):
            return []  # lost
        packet = rtp(65_520 + number, 0xFFFFFF00 + number * 160, bytes([0xFF]) * 160, **shape)
        return [packet, packet] if number == 30 else [packet]

    far = await scene.another_far(mangle)
    await scene.answer(await scene.begin(), description(far.port))
    report = await scene.over()
    assert report.expected == report.sent and report.lost == 2 and report.longest_loss == 2
    assert (report.doubled, report.late) == (1, 0)
    assert report.jitter_s is not None and report.jitter_s < 0.2
    assert report.heard_pct == 0.0, "neither extension, CSRCs nor padding are taken for sound"
    plain = RTP.RTPMessage(rtp(1, 1, b"\xff" * 160, extension=bytes(8)), _TYPES)
    assert (
        len(plain.payload) == 172 and len(Packet(rtp(1, 1, b"\xff" * 160, extension=bytes(8)), _TYPES).payload) == 160
    )


async def test_our_numbers_wrap(scene: Scene) -> None:
    sound = Sound(Ports().take("127.0.0.1"), far_sound(description(scene.far.port)), 5.0)  # type: ignore[arg-type]
    sound.outSequence, sound.outTimestamp = 65_534, 0xFFFFFFFF - 200
    sound.start()
    await scene.far.packets(5)
    sound.stop()
    assert scene.far.sequences[:5] == [65_534, 65_535, 0, 1, 2]
    stamps = [struct.unpack("!I", data[4:8])[0] for data in scene.far.heard[:5]]
    assert [(b - a) & 0xFFFFFFFF for a, b in pairwise(stamps)] == [160] * 4
    assert {len(data) for data in scene.far.heard} == {172}


async def test_an_odd_port_is_called_and_rtcp_goes_above_it(scene: Scene) -> None:
    far = await scene.another_far(odd=True)
    assert far.port % 2
    await scene.answer(await scene.begin(), description(far.port))
    await far.until(lambda: far.reports)
    assert far.heard and far.peer[1] % 2 == 0 and far.rtcp_peer[1] == far.peer[1] + 1
    await scene.over()


async def test_the_rtcp_attribute_says_where_reports_go(scene: Scene) -> None:
    other = await scene.another_far()
    lines = f"a=rtcp:{other.port} IN IP4 127.0.0.1\r\n"
    await scene.answer(await scene.begin(), description(scene.far.port, "0", lines))
    await other.until(lambda: other.heard)  # a port of RTP, and what comes there is RTCP
    assert other.heard[0][1] == 200
    await scene.over()


async def test_reports_are_sent_and_read_and_give_the_round_trip(scene: Scene) -> None:
    far = await scene.another_far(lambda _, data: [data[:8] + b"\0\0\0\7" + data[12:]])
    await scene.answer(await scene.begin(), description(far.port))
    await far.until(lambda: far.reports)
    (ours,) = rtcp.read(far.reports[0])
    assert ours.ntp is not None and ours.blocks[0].ssrc == 7
    highest = far.sequences[-1]
    block = rtcp.Block(ours.ssrc, 0, 3, highest, 80, rtcp.middle(ours.ntp), 0)
    far.say_rtcp(rtcp.sender_report(7, rtcp.ntp(1.8e9), 160, 1, 160, (block,), "far"))
    report = await scene.over()
    assert report.rtt_s is not None and 0 <= report.rtt_s < WAIT_S
    assert report.far_lost_pct is not None and report.far_lost_pct > 0 and report.far_jitter_s == 0.01
    (last,) = rtcp.read(far.reports[-1])
    assert far.reports[-1].endswith(struct.pack("!BBHI", 0x81, 203, 1, ours.ssrc)), "and a goodbye"
    assert last.blocks[0].last_sr == rtcp.middle(rtcp.ntp(1.8e9))
    assert "RTCP" not in inspect.getsource(RTP)


# 17
async def test_pace_is_of_an_absolute_clock(scene: Scene) -> None:
    """However late single packets are, there are 50 a second: a stall is caught up with."""
    await scene.answer(await scene.begin(seconds=1.0))
    for count in (5, 15, 25):
        await scene.far.packets(count)
        time.sleep(0.07)  # noqa: ASYNC251 - the whole loop stands still, as on a busy machine
    report = await scene.over()
    assert report.sent + report.slipped >= 50
    assert scene.far.sequences == [(scene.far.sequences[0] + n) & 0xFFFF for n in range(report.sent)]
    assert "time.sleep" in inspect.getsource(RTP.RTPClient.trans)  # theirs adds up every delay


# 18
async def test_reading_silence_returns(scene: Scene) -> None:
    sound = Sound(Ports().take("127.0.0.1"), far_sound(description(scene.far.port)), 5.0)  # type: ignore[arg-type]
    assert sound.read(160, blocking=True) == b"\x80" * 160
    sound.start()
    await scene.far.packets(2)
    assert len(sound.read(160, blocking=True)) == 160
    sound.stop()
    assert "while packet ==" in inspect.getsource(RTP.RTPClient.read)


# 19
@pytest.mark.parametrize(
    "module", ["adapters.linecheck.media", "adapters.linecheck.packet", "adapters.linecheck.check"]
)
def test_every_module_can_be_imported_first(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    theirs = subprocess.run(
        [sys.executable, "-c", "from pyVoIP import SIP"], capture_output=True, text=True, timeout=60
    )
    assert "circular import" in theirs.stderr


# 20
def test_a_port_is_found_without_a_search() -> None:
    ports = Ports(21_000, 21_399)
    taken = [ports.take("127.0.0.1") for _ in range(100)]
    try:
        numbers = [pair.port for pair in taken]
        assert len(set(numbers)) == 100 and all(number % 2 == 0 for number in numbers)
        again = taken[0].port
        taken[0].close()
        taken[0] = ports.take("127.0.0.1")
        assert taken[0].port != again, "a port just given up rests"
        assert all(pair.rtcp.getsockname()[1] == pair.port + 1 for pair in taken)
    finally:
        for pair in taken:
            pair.close()
    search = inspect.getsource(pyVoIP.VoIP.VoIPPhone.request_port)
    assert "for port in range(self.rtpPortLow, self.rtpPortHigh + 1)" in search


def test_no_port_left_is_said_and_given_back_ones_are_taken_again() -> None:
    ports = Ports(21_501, 21_506)
    first, second = ports.take("127.0.0.1"), ports.take("127.0.0.1")
    assert {first.port, second.port} == {21_502, 21_504}
    with pytest.raises(NoPorts, match="21502"):
        ports.take("127.0.0.1")
    first.close()
    third = ports.take("127.0.0.1")
    assert third.port == 21_502
    second.close()
    third.close()


# 21
async def test_an_answer_at_once_is_not_dropped(scene: Scene) -> None:
    """The 200 is in our socket's buffer before `call` has returned: the call is filed before it is sent."""
    agent, placed = scene.agent, []
    send = agent.call

    def call(*args, **options):  # type: ignore[no-untyped-def]
        made = send(*args, **options)
        placed.append(made.dialog.key in agent.reception.calls)
        return made

    agent.call = call  # type: ignore[method-assign]
    invite = await scene.begin()
    scene.peer.reply(invite, 200, body=description(scene.far.port))
    await scene.peer.next("ACK")
    assert placed == [True]
    assert (await scene.over()).received
    order = inspect.getsource(pyVoIP.VoIP.VoIPPhone.call)
    assert order.index("self.sip.invite(") < order.index("self.calls[call_id] =")


async def test_nothing_of_a_check_is_left(scene: Scene) -> None:
    await scene.answer(await scene.begin())
    await scene.far.packets(1)
    sound = scene.checks[-1].sound
    await scene.over()
    assert sound is not None and sound._pair.rtp.fileno() == sound._pair.rtcp.fileno() == -1
    assert len(scene.agent) == 0
