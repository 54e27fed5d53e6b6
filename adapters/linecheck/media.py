"""The sound of one check: pyVoIP's RTPClient, with what it does wrong put right by overriding.

It runs in the event loop instead of two threads a call. What is sent is paced by an absolute clock: a
packet that was late makes none after it late. When a packet came is the kernel's stamp, so that
our own load does not count as jitter of the line.
"""

import asyncio
import audioop
import os
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pyVoIP.VoIP  # first: pyVoIP's other modules import one another in a circle
from pyVoIP.RTP import PayloadType, RTPClient, RTPPacketManager, RTPParseError, TransmitType

from adapters.linecheck import rtcp, tone
from adapters.linecheck.offer import EVENT, Codec, FarSound
from adapters.linecheck.packet import Packet
from adapters.linecheck.ports import Pair
from adapters.linecheck.stream import RATE, Stream

ENGINE = f"pyVoIP {pyVoIP.__version__}"

_CODECS = {Codec.PCMU: PayloadType.PCMU, Codec.PCMA: PayloadType.PCMA}
_LARGEST = 2048
"""A larger datagram is cut short and is no RTP packet."""
_A_TURN = 64
"""Packets read before others get their turn."""
_BEHIND = 5
"""So many packets too late, they are left out: 100 ms in one burst would say nothing about the line."""
_KEPT_S = 1.0
_FIRST_REPORT_S, _REPORT_S = 0.3, 2.5
"""Half of RFC 3550's least interval (section 6.2): a check is over when the second one would be due,
and two parties with a report each in that time stay far below the 5 % of the bandwidth it is about."""
_DEAF_S = 2.0
"""A report that comes this long after our first packet should know of us."""
_CNAME = "line-check@diemcau"


class RecentSound(RTPPacketManager):
    """The newest second of sound; pyVoIP keeps a log of all there ever was."""

    def __init__(self, most: int = int(RATE * _KEPT_S)) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._parts: deque[bytes] = deque()
        self._most = most
        self.held = 0

    def write(self, offset: int, data: bytes) -> None:
        self._parts.append(data)
        self.held += len(data)
        while self.held > self._most:
            self.held -= len(self._parts.popleft())

    def read(self, length: int = tone.SAMPLES) -> bytes:
        """The oldest sound there is, filled up with silence; never waits."""
        found = bytearray()
        while self._parts and len(found) < length:
            part = self._parts.popleft()
            wanted = length - len(found)
            found += part[:wanted]
            if len(part) > wanted:
                self._parts.appendleft(part[wanted:])
        self.held -= len(found)
        return bytes(found).ljust(length, b"\x80")


@dataclass(slots=True)
class Heard:
    """What the media of a check has seen so far."""

    stream: Stream = field(default_factory=Stream)
    sent: int = 0
    octets: int = 0
    unsent: int = 0
    slipped: int = 0
    unread: int = 0
    first_sent_s: float | None = None
    last_sent_s: float = 0.0
    sent_s: list[float] = field(default_factory=list)
    came: list[tuple[float, int]] = field(default_factory=list)
    first_came_s: float | None = None
    last_came_s: float = 0.0
    pause_s: float = 0.0
    codec: str = ""
    trips_s: list[float] = field(default_factory=list)
    far_reports: int = 0
    far_blind: int = 0
    far_lost_pct: float | None = None
    far_jitter_s: float | None = None


class Sound(RTPClient):
    """Sends the tone to one far end, and counts what comes from it, until `stop`."""

    def __init__(self, pair: Pair, far: FarSound, most_s: float) -> None:
        """`pair` is ours from now on; `most_s` bounds what is kept of the sound's course."""
        kinds = {far.payload: _CODECS[far.codec]}
        super().__init__(kinds, pair.rtp.getsockname()[0], pair.port, far.host, far.port, TransmitType.SENDRECV)
        self._pair = pair
        self._loop = asyncio.get_running_loop()
        self._most = int(most_s / tone.FRAME_S) + 500
        self.heard = Heard()
        self.pmin = RecentSound()
        self.outSSRC = int.from_bytes(os.urandom(4), "big")
        self.outSequence = int.from_bytes(os.urandom(2), "big")
        self.outTimestamp = int.from_bytes(os.urandom(4), "big")
        self._first_sequence = self.outSequence
        self._frame = 0
        self._next_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        self._running = False
        self._packets: list[bytes] = []
        self._quiet = b""
        self._last_sr: dict[int, tuple[int, float]] = {}
        self._wall_s = time.time() - self._loop.time()
        self.redirect(far)

    # -- where to, and as what --------------------------------------------------------

    def redirect(self, far: FarSound) -> None:
        """Go on with what the peer says now; the stream stays the one it is (a re-INVITE)."""
        self.far = far
        self.outIP, self.outPort = far.host, far.port
        self.preference = _CODECS[far.codec]
        # we offered our own numbers and may be sent either codec by them; a peer's offer brings its own
        self.assoc = {
            0: PayloadType.PCMU, 8: PayloadType.PCMA, EVENT: PayloadType.EVENT,
            **{number: _CODECS[codec] for number, codec in far.codecs},
        }  # fmt: skip
        self._packets = [self.encode_packet(frame) for frame in tone.tone_frames()]
        self._quiet = self.encode_packet(tone.SILENCE)

    def encode_packet(self, payload: bytes) -> bytes:
        """8-bit samples in the codec agreed upon."""
        encode = self.encode_pcma if self.preference is PayloadType.PCMA else self.encode_pcmu
        encoded: bytes = encode(payload)
        return encoded

    # -- life -------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to send and to listen. Safe to repeat: there is one stream."""
        if self._running or not self.NSD:
            return
        self._running = True
        self.sin = self.sout = self._pair.rtp
        self._loop.add_reader(self._pair.rtp, self.recv)
        self._loop.add_reader(self._pair.rtcp, self._recv_rtcp)
        self._next_s = self._loop.time()
        self.trans()
        self._report_timer = self._loop.call_later(_FIRST_REPORT_S, self._report)

    def stop(self) -> None:
        """Say goodbye by RTCP and close the ports. Safe to repeat."""
        if not self.NSD:
            return
        self.NSD = False
        for timer in (self._timer, self._report_timer):
            if timer is not None:
                timer.cancel()
        if self._running:
            self._send_report(bye=True)
            for each in (self._pair.rtp, self._pair.rtcp):
                self._loop.remove_reader(each)
            self._pause(self._loop.time())
        self._running = False
        self._pair.close()

    # -- what goes out ----------------------------------------------------------------

    def trans(self) -> None:
        """Send what is due, and come back when the next packet is: on the absolute clock, 50 a second."""
        now = self._loop.time()
        behind = int((now - self._next_s) / tone.FRAME_S)
        if behind > _BEHIND:
            self.heard.slipped += behind
            for _ in range(behind):
                self._step(self._next_s)
        while self._next_s <= now:
            self._send_frame(now)
            self._step(now)
        self._timer = self._loop.call_at(self._next_s, self.trans)

    def _step(self, at_s: float) -> None:
        if len(self.heard.sent_s) < self._most:
            self.heard.sent_s.append(at_s)
        self._frame += 1
        self._next_s += tone.FRAME_S
        self.outTimestamp = (self.outTimestamp + tone.SAMPLES) & 0xFFFFFFFF

    def _send_frame(self, now: float) -> None:
        if not self.far.listens:
            return
        heard = self.heard
        on = tone.is_on(self._frame)
        payload = self._packets[self._frame % tone.FRAMES] if on else self._quiet
        marker = 0x80 if heard.sent == 0 else 0
        head = struct.pack("!BBHII", 0x80, marker | self.far.payload, self.outSequence, self.outTimestamp, self.outSSRC)
        try:
            self._pair.rtp.sendto(head + payload, (self.outIP, self.outPort))
        except OSError:
            heard.unsent += 1
        else:
            heard.sent += 1
            heard.octets += len(payload)
            heard.last_sent_s = now
            if heard.first_sent_s is None:
                heard.first_sent_s = now
        self.outSequence = (self.outSequence + 1) & 0xFFFF

    def write(self, data: bytes) -> None:
        """The check sends its own tone; nobody else's sound is taken."""
        raise NotImplementedError("a line check sends its own tone")

    # -- what comes in ----------------------------------------------------------------

    def recv(self) -> None:
        """Take in what waits at the RTP port."""
        for data, arrived_s in self._waiting(self._pair.rtp):
            if len(data) > 1 and 192 <= data[1] <= 223:  # RTCP on the port of RTP (RFC 5761 section 4)
                self._take_rtcp(data, arrived_s)
                continue
            try:
                self._take(data, arrived_s)
            except RTPParseError:
                self.heard.unread += 1

    def _recv_rtcp(self) -> None:
        for data, arrived_s in self._waiting(self._pair.rtcp):
            self._take_rtcp(data, arrived_s)

    def _waiting(self, port: socket.socket) -> list[tuple[bytes, float]]:
        found = []
        for _ in range(_A_TURN):
            try:
                data, stamps, flags, _ = port.recvmsg(_LARGEST, 64)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # an ICMP message for something we sent
            if flags & socket.MSG_TRUNC:
                self.heard.unread += 1
                continue
            found.append((data, self._arrived_s(stamps)))
        return found

    def _arrived_s(self, stamps: list[Any]) -> float:
        """When the kernel got it, on the loop's clock."""
        for level, kind, value in stamps:
            if level == socket.SOL_SOCKET and kind == 35 and len(value) == 16:
                seconds, nanoseconds = struct.unpack("qq", value)
                return float(seconds - self._wall_s + nanoseconds * 1e-9)
        return self._loop.time()

    def parse_packet(self, packet: bytes) -> None:
        """Take one RTP packet in, as having come now. Raises RTPParseError for what is none."""
        self._take(packet, self._loop.time())

    def _take(self, data: bytes, arrived_s: float) -> None:
        packet = Packet(data, self.assoc)
        kind = packet.payload_type
        sound = kind is PayloadType.PCMU or kind is PayloadType.PCMA
        heard = self.heard
        fresh = heard.stream.take(packet.SSRC, packet.sequence, packet.timestamp, arrived_s, timed=sound)
        if not fresh:
            return
        self._pause(arrived_s)
        heard.last_came_s = arrived_s
        if heard.first_came_s is None:
            heard.first_came_s = arrived_s
        if not sound or not packet.payload:
            return
        heard.codec = kind.name
        if kind is PayloadType.PCMU:
            self.parse_pcmu(packet)
            loud = audioop.rms(audioop.ulaw2lin(packet.payload, 2), 2)
        else:
            self.parse_pcma(packet)
            loud = audioop.rms(audioop.alaw2lin(packet.payload, 2), 2)
        if len(heard.came) < self._most:
            heard.came.append((arrived_s, loud))

    def _pause(self, now: float) -> None:
        if self.heard.first_came_s is not None:
            self.heard.pause_s = max(self.heard.pause_s, now - self.heard.last_came_s)

    def read(self, length: int = tone.SAMPLES, blocking: bool = True) -> bytes:
        """The sound that came, filled up with silence. Returns at once, whatever `blocking` says."""
        found: bytes = self.pmin.read(length)
        return found

    # -- reports ----------------------------------------------------------------------

    def _report(self) -> None:
        self._send_report()
        self._report_timer = self._loop.call_later(_REPORT_S, self._report)

    def _send_report(self, *, bye: bool = False) -> None:
        now = self._loop.time()
        heard = self.heard
        report = rtcp.sender_report(
            self.outSSRC,
            rtcp.ntp(now + self._wall_s),
            self.outTimestamp,
            heard.sent,
            heard.octets,
            self._blocks(now),
            _CNAME,
            bye=bye,
        )
        try:
            self._pair.rtcp.sendto(report, (self.far.rtcp_host, self.far.rtcp_port))
        except OSError:
            heard.unsent += 1

    def _blocks(self, now: float) -> tuple[rtcp.Block, ...]:
        stream = self.heard.stream
        if stream.current is None:
            return ()
        source = stream.sources[stream.current]
        stamp, at_s = self._last_sr.get(stream.current, (0, now))
        counts = source.counts
        return (
            rtcp.Block(
                stream.current,
                source.fraction_lost(),
                counts.expected - counts.received,
                source.highest,
                int(source.jitter_s * RATE),
                stamp,
                int((now - at_s) * 65536) & 0xFFFFFFFF,
            ),
        )

    def _take_rtcp(self, data: bytes, arrived_s: float) -> None:
        arrived = rtcp.middle(rtcp.ntp(arrived_s + self._wall_s))
        for report in rtcp.read(data):
            if report.ntp is not None and report.ssrc in self.heard.stream.sources:
                self._last_sr[report.ssrc] = (rtcp.middle(report.ntp), arrived_s)
            ours = [block for block in report.blocks if block.ssrc == self.outSSRC]
            for block in ours:
                self._reported(block, arrived)
            late = self.heard.first_sent_s is not None and arrived_s - self.heard.first_sent_s > _DEAF_S
            if report.ssrc != self.outSSRC and (ours or late):
                self.heard.far_reports += 1
                self.heard.far_blind += not ours

    def _reported(self, block: rtcp.Block, arrived: int) -> None:
        heard = self.heard
        expected = ((block.highest - self._first_sequence) & 0xFFFF) + 1
        if expected <= heard.sent:
            heard.far_lost_pct = 100.0 * min(expected, max(0, block.lost)) / expected
        heard.far_jitter_s = block.jitter / RATE
        trip_s = rtcp.round_trip_s(arrived, block)
        if trip_s is not None and len(heard.trips_s) < 1000:
            heard.trips_s.append(trip_s)
