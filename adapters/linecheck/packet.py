"""One RTP packet, read as RFC 3550 section 5.1 says: pyVoIP's RTPMessage with its reading put right."""

import struct

import pyVoIP.VoIP  # noqa: F401  - first: pyVoIP's other modules import one another in a circle
from pyVoIP.RTP import PayloadType, RTPMessage, RTPParseError

_HEAD = 12


class Packet(RTPMessage):
    """A packet; `payload` is without CSRCs, header extension and padding.

    A payload type that nobody knows is no error here: the packet counts, its sound does not.
    Raises RTPParseError for what is no RTP.
    """

    number: int

    def parse(self, packet: bytes) -> None:
        if len(packet) < _HEAD:
            raise RTPParseError(f"{len(packet)} bytes are no RTP packet")
        first, second, self.sequence, self.timestamp, self.SSRC = struct.unpack_from("!BBHII", packet)
        self.version = first >> 6
        if self.version != 2:
            raise RTPParseError(f"RTP Version {self.version} not compatible.")
        self.padding = bool(first & 0x20)
        self.extension = bool(first & 0x10)
        self.CC = first & 0x0F
        self.marker = bool(second & 0x80)
        self.number = second & 0x7F
        self.payload_type = self.assoc.get(self.number, PayloadType.UNKNOWN)
        start, end = _HEAD + 4 * self.CC, len(packet)
        self.CSRC = [packet[at : at + 4] for at in range(_HEAD, min(start, end), 4)]
        if self.extension:
            if start + 4 > end:
                raise RTPParseError("the packet ends inside its header extension")
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        if self.padding and end > start:
            end -= packet[-1]
            if packet[-1] == 0:
                raise RTPParseError("padding of no length")
        if start > end:
            raise RTPParseError("the packet ends inside its head")
        self.payload = packet[start:end]
