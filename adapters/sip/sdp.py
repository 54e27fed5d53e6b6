"""SDP, touched as little as can be: what a peer wrote is relayed byte for byte.

Video fmtp, BFCP, content and crypto lines survive only that way. What must be written
here is a hold answer, a refused or switched-off media line, and our own origin line on a
dialog that has already seen one of ours (RFC 3264 section 8, RFC 3725 section 4).
"""

import re
from collections.abc import Set
from dataclasses import dataclass

_MEDIA = re.compile(rb"(?m)^m=([^ \r\n]+) +([0-9]+)(/[0-9]+)? +([^ \r\n]+)([^\r\n]*)")
_ORIGIN = re.compile(rb"(?m)^o=[^\r\n]*")
_ASLEEP = re.compile(rb"(?m)^a=(?:inactive|recvonly|sendonly)\r?\n")
_CONNECTION = re.compile(rb"(?m)^c=[^\r\n]*")


@dataclass(frozen=True, slots=True)
class Media:
    """One m-line: kind, port, protocol, and where its section lies in the bytes."""

    kind: str
    port: int
    protocol: str
    formats: str
    start: int
    end: int


def medias(sdp: bytes) -> list[Media]:
    """The media sections in their order."""
    found = list(_MEDIA.finditer(sdp))
    ends = [*(match.start() for match in found[1:]), len(sdp)][: len(found)]
    return [
        Media(
            match[1].lower().decode("latin-1"),
            int(match[2][-6:]),
            match[4].upper().decode("latin-1"),
            match[5].decode("latin-1").strip(),
            match.start(),
            end,
        )
        for match, end in zip(found, ends, strict=True)
    ]


def has_media(sdp: bytes) -> bool:
    """Whether there is a media section at all."""
    at = sdp.find(b"m=")
    return at >= 0 and _MEDIA.search(sdp, at) is not None


def zero_ports(sdp: bytes, indexes: Set[int]) -> bytes:
    """The same SDP with some media lines refused or switched off; the order stays."""
    out, at = [], 0
    for index, match in enumerate(_MEDIA.finditer(sdp)):
        if index in indexes:
            out += [sdp[at : match.start(2)], b"0"]
            at = match.end(3) if match[3] else match.end(2)
    return b"".join([*out, sdp[at:]])


def without_video(sdp: bytes) -> bytes:
    """The same SDP with every video line switched off."""
    off = {index for index, media in enumerate(medias(sdp)) if media.kind == "video" and media.port}
    return zero_ports(sdp, off) if off else sdp


def without_doubles(sdp: bytes) -> bytes:
    """The same SDP without the second way of one media on one port.

    FreeSWITCH offers audio twice on one port, RTP/SAVP and RTP/AVP; Asterisk refuses that
    with 488 (measured). The secure line is the one given up. Returns `sdp` itself when
    there is nothing of the kind.
    """
    lines = medias(sdp)
    plain = {(media.kind, media.port) for media in lines if media.port and "SAVP" not in media.protocol}
    off = {i for i, media in enumerate(lines) if "SAVP" in media.protocol and (media.kind, media.port) in plain}
    return zero_ports(sdp, off) if off else sdp


def black_hole(session: int, host: str) -> bytes:
    """An offer of ours that sends nobody anything: one audio line to nowhere (RFC 3725 section 4.3).

    `c=0.0.0.0` and the discard port; baresip 1.0.0 and Asterisk 22 took such an offer and the
    real one in a re-INVITE after it (measured).
    """
    lines = [b"v=0", origin(session, 1, host), b"s=-", b"c=IN IP4 0.0.0.0", b"t=0 0", b"m=audio 9 RTP/AVP 0 8 101"]
    lines += [b"a=rtpmap:0 PCMU/8000", b"a=rtpmap:8 PCMA/8000", b"a=rtpmap:101 telephone-event/8000"]
    lines += [b"a=fmtp:101 0-15", b"a=inactive"]
    return b"\r\n".join(lines) + b"\r\n"


def awake(sdp: bytes) -> bytes:
    """The same SDP without what put its media to sleep: an answer to a hold, as an offer."""
    return _ASLEEP.sub(b"", sdp)


def same_session(one: bytes, other: bytes) -> bool:
    """Whether two SDPs say the same, whosever origin line they bear (RFC 3264 section 8)."""
    return _ORIGIN.sub(b"", one, count=1) == _ORIGIN.sub(b"", other, count=1)


def refusal(offer: bytes, session: int, host: str) -> bytes:
    """A valid answer that takes none of the offered media: for the ACK before a BYE."""
    return _answer(offer, session, 1, host, keep_audio=False)


def hold(offer: bytes, session: int, host: str) -> bytes:
    """A valid answer that takes the first plain audio line into a black hole.

    `c=0.0.0.0` and the discard port as in RFC 3725 section 4.3; every other line is refused
    for now and comes back with the re-INVITE. Measured with baresip 1.0.0 and Asterisk 22.
    """
    return _answer(offer, session, 1, host, keep_audio=True)


def origin(session: int, version: int, host: str) -> bytes:
    """Our own o= line."""
    return f"o=diemcau {session} {version} IN IP{6 if ':' in host else 4} {host}".encode()


def with_origin(sdp: bytes, session: int, version: int, host: str) -> bytes:
    """The same SDP under our own origin: the peer has seen ours on this dialog already."""
    return _ORIGIN.sub(lambda _: origin(session, version, host), sdp, count=1)


def same_media(one: bytes, other: bytes) -> bool:
    """Whether two SDPs receive the same media at the same places.

    Lines that either side switched off do not count.
    """
    return [line for line in _places(one) if line] == [line for line in _places(other) if line]


def _places(sdp: bytes) -> list[tuple[bytes, str, int] | None]:
    lines = medias(sdp)
    head = _CONNECTION.search(sdp, 0, lines[0].start if lines else len(sdp))
    places: list[tuple[bytes, str, int] | None] = []
    for media in lines:
        own = _CONNECTION.search(sdp, media.start, media.end) or head
        places.append((own[0] if own else b"", media.kind, media.port) if media.port else None)
    return places


def _answer(offer: bytes, session: int, version: int, host: str, *, keep_audio: bool) -> bytes:
    lines = [b"v=0", origin(session, version, host), b"s=-", b"c=IN IP4 0.0.0.0", b"t=0 0"]
    for media in medias(offer):
        take = keep_audio and media.kind == "audio" and media.port and media.protocol == "RTP/AVP"
        formats = media.formats or "0"
        lines.append(f"m={media.kind} {9 if take else 0} {media.protocol} {formats}".encode("latin-1"))
        if take:
            section = offer[media.start : media.end].splitlines()
            lines.extend(line for line in section if line.startswith((b"a=rtpmap:", b"a=fmtp:")))
            lines.append(b"a=inactive")
            keep_audio = False
    return b"\r\n".join(lines) + b"\r\n"
