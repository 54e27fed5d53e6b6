"""Session descriptions of virtual devices: real offers and answers, without any sound behind them. Pure.

Audio is G.711 with telephone-events as in captured baresip offers; video is H.264. An
answer takes every media line it can, refuses the others in place, and mirrors the direction
(RFC 3264 section 6).
"""

import re

from adapters.sip.sdp import Media, medias

_PORTS = range(20_000, 60_000, 4)
_AUDIO = ("0", "8", "101")
_MIRROR = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive", "sendrecv": "sendrecv"}
_DIRECTION = re.compile(rb"(?m)^a=(sendonly|recvonly|inactive|sendrecv)\r?$")
_H264 = re.compile(rb"(?mi)^a=rtpmap:(\d{1,3}) H264/90000")


class Session:
    """One device's side of one call: the same origin and ports for its whole life."""

    __slots__ = ("_host", "_port", "_version", "number", "video")

    def __init__(self, number: int, host: str, *, video: bool = True) -> None:
        self.number = number
        self.video = video
        self._host = host
        self._port = _PORTS[number % len(_PORTS)]
        self._version = 0

    def _head(self) -> list[str]:
        self._version += 1
        kind = "IP6" if ":" in self._host else "IP4"
        place = f"IN {kind} {self._host}"
        return ["v=0", f"o=- {self.number} {self._version} {place}", "s=-", f"c={place}", "t=0 0"]

    def _audio(self, formats: tuple[str, ...]) -> list[str]:
        names = {"0": "PCMU/8000", "8": "PCMA/8000", "101": "telephone-event/8000"}
        lines = [f"m=audio {self._port} RTP/AVP {' '.join(formats)}"]
        lines += [f"a=rtpmap:{number} {names[number]}" for number in formats]
        return lines + (["a=fmtp:101 0-15"] if "101" in formats else [])

    def _h264(self, number: str) -> list[str]:
        return [
            f"m=video {self._port + 2} RTP/AVP {number}",
            f"a=rtpmap:{number} H264/90000",
            f"a=fmtp:{number} profile-level-id=42e01f;packetization-mode=0",
        ]

    def offer(self) -> bytes:
        """What this device would like: audio, and video where it has it."""
        lines = [*self._head(), *self._audio(_AUDIO), "a=sendrecv"]
        if self.video:
            lines += [*self._h264("96"), "a=sendrecv"]
        return _text(lines)

    def answer(self, offer: bytes) -> bytes | None:
        """The answer to an offer, or None when there is no audio both sides can."""
        lines = self._head()
        taken = False
        for media in medias(offer):
            formats = media.formats.split()
            section = offer[media.start : media.end]
            common = tuple(number for number in formats if number in _AUDIO)
            h264 = _H264.search(section)
            if media.kind == "audio" and media.port and {"0", "8"} & set(common) and "SAVP" not in media.protocol:
                lines += self._audio(common)
                taken = True
            elif media.kind == "video" and media.port and self.video and h264 and "SAVP" not in media.protocol:
                lines += self._h264(h264[1].decode())
            else:
                lines.append(f"m={media.kind} 0 {media.protocol} {media.formats or '0'}")
                continue
            lines.append(f"a={_MIRROR[_direction(offer, media)]}")
        return _text(lines) if taken else None


def _direction(offer: bytes, media: Media) -> str:
    own = _DIRECTION.search(offer, media.start, media.end)
    general = _DIRECTION.search(offer, 0, medias(offer)[0].start)
    found = own or general
    return found[1].decode() if found else "sendrecv"


def _text(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n").encode()
