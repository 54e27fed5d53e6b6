"""Pure: the audio-only description that a check offers, and what it makes of the other side's.

The offer has PCMU, PCMA and telephone-event and nothing else, so that no answer can bring video, BFCP
or content (RFC 3264 section 6: an answer has the lines of its offer). What comes all the same, in
an answer or in an offer of the peer's, is passed over or refused line by line.
"""

import ipaddress
import re
from dataclasses import dataclass
from enum import IntEnum

from adapters.sip.sdp import Media, medias, origin

EVENT = 101
"""Our number for telephone-event, the usual one."""


class Codec(IntEnum):
    """What the check speaks; the value is the static payload type (RFC 3551 table 4)."""

    PCMU = 0
    PCMA = 8


_NAMES = {"pcmu": Codec.PCMU, "pcma": Codec.PCMA}
_RTPMAP = re.compile(rb"(?m)^a=rtpmap:([0-9]{1,3}) +([A-Za-z0-9-]+)/([0-9]{1,6})(?:/([0-9]+))?[ \t]*\r?$")
_RTCP = re.compile(rb"(?m)^a=rtcp:([0-9]{1,5})(?: +IN +IP[46] +(\S{1,255}))?[ \t]*\r?$")
_CONNECTION = re.compile(rb"(?m)^c=IN +IP[46] +([^\s/]{1,255})")
_DIRECTION = re.compile(rb"(?m)^a=(sendrecv|sendonly|recvonly|inactive)[ \t]*\r?$")
_MOST_LINES = 32


@dataclass(frozen=True, slots=True)
class FarSound:
    """Where the other side wants its sound, and as what; `payload` is its number for the codec.

    `listens` and `speaks` are its direction: with `listens` False nothing is sent to it.
    """

    host: str
    port: int
    rtcp_host: str
    rtcp_port: int
    codec: Codec
    payload: int
    codecs: tuple[tuple[int, Codec], ...]  # its numbers for all codecs that we know
    listens: bool
    speaks: bool


def offer(host: str, port: int, session: int, version: int = 1) -> bytes:
    """Our offer; RTCP is on the port above (RFC 3550 section 11)."""
    return _description(host, session, version, [f"m=audio {port} RTP/AVP 0 8 {EVENT}", *_ours(0, 8, EVENT)])


def _ours(pcmu: int | None, pcma: int | None, event: int | None, direction: str = "sendrecv") -> list[str]:
    lines = [f"a=rtpmap:{pcmu} PCMU/8000"] if pcmu is not None else []
    lines += [f"a=rtpmap:{pcma} PCMA/8000"] if pcma is not None else []
    lines += [f"a=rtpmap:{event} telephone-event/8000", f"a=fmtp:{event} 0-15"] if event is not None else []
    return [*lines, "a=ptime:20", f"a={direction}"]


def _description(host: str, session: int, version: int, lines: list[str]) -> bytes:
    family = 6 if ":" in host else 4
    head = ["v=0", origin(session, version, host).decode(), "s=-", f"c=IN IP{family} {host}", "t=0 0"]
    return "\r\n".join([*head, *lines, ""]).encode("latin-1")


def far_sound(sdp: bytes) -> FarSound | None:
    """What an answer or offer says of plain G.711 sound; None when there is none to be had."""
    for media in medias(sdp)[:_MOST_LINES]:
        found = _sound(sdp, media)
        if found is not None:
            return found
    return None


def _sound(sdp: bytes, media: Media) -> FarSound | None:
    if media.kind != "audio" or not 0 < media.port < 65535 or media.protocol not in ("RTP/AVP", "RTP/AVPF"):
        return None
    section = sdp[media.start : media.end]
    named: dict[int, Codec | None] = {}
    for number, name, rate, channels in _RTPMAP.findall(section):
        plain = rate == b"8000" and channels in (b"", b"1")
        named[int(number)] = _NAMES.get(name.decode().lower()) if plain else None
    codecs: list[tuple[int, Codec]] = []
    for format in media.formats.split()[:64]:
        if format.isascii() and format.isdigit() and int(format) < 128:
            number = int(format)
            codec = named[number] if number in named else Codec(number) if number in (0, 8) else None
            if codec is not None:
                codecs.append((number, codec))
    lines = medias(sdp)
    head = sdp[: lines[0].start]
    where = _CONNECTION.search(section) or _CONNECTION.search(head)
    if not codecs or where is None:
        return None
    host = where[1].decode("latin-1")
    direction = _DIRECTION.search(section) or _DIRECTION.search(head)
    way = direction[1] if direction is not None else b"sendrecv"
    held = is_nowhere(host)
    rtcp = _RTCP.search(section)
    rtcp_port = int(rtcp[1]) if rtcp is not None and 0 < int(rtcp[1]) < 65536 else media.port + 1
    return FarSound(
        host,
        media.port,
        rtcp[2].decode("latin-1") if rtcp is not None and rtcp[2] else host,
        rtcp_port,
        codecs[0][1],
        codecs[0][0],
        tuple(codecs),
        listens=way in (b"sendrecv", b"recvonly") and not held,
        speaks=way in (b"sendrecv", b"sendonly") and not held,
    )


def is_nowhere(host: str) -> bool:
    """Whether an address means "send nothing" (RFC 2543's way to hold: c=0.0.0.0)."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def answer(theirs: bytes, host: str, port: int, session: int, version: int) -> bytes | None:
    """Our answer to an offer of the peer's: its first plain G.711 line is taken, all others refused.

    Numbers are the peer's (RFC 3264 section 6.1). None when no line can be taken: 488.
    """
    lines: list[str] = []
    taken = False
    for media in medias(theirs)[:_MOST_LINES]:
        sound = None if taken else _sound(theirs, media)
        if sound is None:
            lines.append(f"m={media.kind} 0 {media.protocol} {media.formats or '0'}")
            continue
        taken = True
        numbers = {codec: number for number, codec in reversed(sound.codecs)}
        event = _event(theirs[media.start : media.end])
        formats = [str(number) for number, _ in sound.codecs] + ([str(event)] if event is not None else [])
        direction = {
            (True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly", (False, False): "inactive",
        }[sound.listens, sound.speaks]  # fmt: skip
        lines.append(f"m=audio {port} {media.protocol} {' '.join(formats)}")
        lines += _ours(numbers.get(Codec.PCMU), numbers.get(Codec.PCMA), event, direction)
    return _description(host, session, version, lines) if taken else None


def _event(section: bytes) -> int | None:
    for number, name, rate, _ in _RTPMAP.findall(section):
        if name.lower() == b"telephone-event" and rate == b"8000" and int(number) < 128:
            return int(number)
    return None
