"""One check: an audio call by our SIP core, the tone sent and what comes counted, and the report of it."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from math import log10
from statistics import median
from typing import Any

from adapters.causes import ClearCause, from_sip
from adapters.linecheck import tone
from adapters.linecheck.media import Sound
from adapters.linecheck.offer import FarSound, answer, far_sound, offer
from adapters.linecheck.order import LineEnd, LineOrder, LineReport, failed, words
from adapters.linecheck.ports import NoPorts, Pair, Ports
from adapters.sip.agent import SipAgent
from adapters.sip.call import Call, Offer
from adapters.sip.listener import CallListener, Ending
from adapters.sip.message import Request, Response
from adapters.sip.route import is_literal, own_address
from adapters.sip.uri import BadUri

_GOODBYE_S = 2.0
"""So long a report waits for the answer to our BYE or CANCEL; the call's end goes on without it."""
_NAME_S = 5.0
_SILENCE_RMS = 10
"""Of 32768: -70 dBov, that is -64 dBm0, what an idle channel may have (ITU-T G.712 section 8: -65 dBm0p)."""
_FULL = 32768.0
_ELSEWHERE = "192.0.2.1"


class LineCheck(CallListener):
    """Places the call when `run` is awaited; `stop` ends it early, whatever its state."""

    __slots__ = (
        "_agent",
        "_answered_s",
        "_asked_s",
        "_call",
        "_done",
        "_host",
        "_order",
        "_over",
        "_pair",
        "_ports",
        "_rang",
        "_rang_out",
        "_remember",
        "_session",
        "_sign_s",
        "_tasks",
        "_version",
        "far",
        "sound",
    )

    def __init__(
        self,
        agent: SipAgent,
        ports: Ports,
        order: LineOrder,
        remember: Callable[[Mapping[str, Any]], None] = lambda memory: None,
    ) -> None:
        """`remember` is told by what the call can be ended should this process die."""
        self._remember = remember
        self._agent = agent
        self._ports = ports
        self._order = order
        self._session = int.from_bytes(os.urandom(4), "big")
        self._version = 1
        self._done: asyncio.Future[LineReport] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pair: Pair | None = None
        self._call: Call | None = None
        self._host = ""
        self._asked_s = 0.0
        self._sign_s: float | None = None
        self._answered_s: float | None = None
        self._rang = self._rang_out = False
        self.sound: Sound | None = None
        self.far: FarSound | None = None

    async def run(self) -> LineReport:
        """Do the check; returns its report once the call is over. Cancelled, it hangs up."""
        try:
            self._begin()
            report = await self._done
        except (NoPorts, BadUri, OSError) as error:
            report = failed(str(error))
        finally:
            self._release()
            for task in list(self._tasks):
                task.cancel()
        if self._call is not None and not self._over.is_set():
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    await self._over.wait()
            except TimeoutError:
                pass
        return report

    def stop(self, why: str) -> None:
        """Give it up; `run` returns `failed`."""
        self._finish(failed(why))

    def _begin(self) -> None:
        order = self._order
        self._host = self._agent.address[0]
        if self._host in ("0.0.0.0", "::"):
            peer = order.address.host.strip("[]")
            self._host = own_address(peer if is_literal(peer) else _ELSEWHERE)
        self._pair = self._ports.take(self._host)
        self._asked_s = self._agent.time()
        self._call = self._agent.call(
            order.address,
            self,
            sdp=offer(self._host, self._pair.port, self._session),
            user=order.user,
            display=order.display,
            credentials=order.login,
            ring_s=order.ring_s,
        )

    def _release(self) -> None:
        if self.sound is not None:
            self.sound.stop()
        elif self._pair is not None:
            self._pair.close()
        if self._call is not None:
            self._call.hang_up()

    # -- what the call tells ----------------------------------------------------------

    def ringing(self, call: Call, response: Response) -> None:
        self._rang = True
        memory = call.invite_memory()
        if memory is not None and self._sign_s is None:
            self._remember(memory)
        if self._sign_s is None:
            self._sign_s = self._agent.time() - self._asked_s

    def answered(self, call: Call, sdp: bytes) -> None:
        call.ack()
        self._remember(call.memory())
        self._answered_s = self._agent.time() - self._asked_s
        if self._sign_s is None:
            self._sign_s = self._answered_s
        far = far_sound(sdp)
        if far is None:
            self._finish(self._no_call(ClearCause.NO_COMMON_MEDIA, 200, "the answer has no plain G.711 sound"))
        else:
            self._find(far)

    def rang_out(self, call: Call) -> None:
        self._rang_out = True
        call.hang_up()

    def refused(self, call: Call, status: int, reason: str, response: Response | None) -> None:
        self._over.set()
        if self._rang_out:
            cause = ClearCause.NO_ANSWER if self._rang else ClearCause.UNREACHABLE
            status, reason = 0, "" if self._rang else f"no sign of life for {self._order.ring_s:g} s"
        elif status == 408 or (status == 480 and not self._rang):
            cause = ClearCause.UNREACHABLE
        else:
            cause = from_sip(status)
        self._finish(self._no_call(cause, status, reason))

    def offered(self, call: Call, offered: Offer) -> None:
        """A re-INVITE or UPDATE: the stream that there is goes on, where the peer now wants it."""
        if self._done.done() or self._pair is None:
            offered.refuse(487)
            return
        port = self._pair.port
        if not offered.sdp:
            offered.answer(offer(self._host, port, self._session, self._version))
            return
        ours = answer(offered.sdp, self._host, port, self._session, self._version + 1)
        far = far_sound(offered.sdp)
        if ours is None or far is None:
            offered.refuse(488)
            return
        self._version += 1
        offered.answer(ours)
        self._find(far)

    def confirmed(self, call: Call, sdp: bytes) -> None:
        """The ACK of a re-INVITE that had asked for our offer."""
        far = far_sound(sdp) if sdp else None
        if far is not None and not self._done.done():
            self._find(far)

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        self._over.set()
        if not self._done.done():
            self._finish(self._measured(cut=True))

    # -- the sound --------------------------------------------------------------------

    def _find(self, far: FarSound) -> None:
        """Send there; only a far end that gives a name instead of an address takes time."""
        if is_literal(far.host) and is_literal(far.rtcp_host):
            self._speak(far)
        else:
            task = asyncio.get_running_loop().create_task(self._look_up(far))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _look_up(self, far: FarSound) -> None:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            async with asyncio.timeout(_NAME_S):
                found = await loop.getaddrinfo(far.host, far.port, family=family, type=socket.SOCK_DGRAM)
        except (OSError, TimeoutError):
            why = f"the far end wants its sound at {far.host}, which nobody knows"
            self._finish(self._no_call(ClearCause.NO_COMMON_MEDIA, 200, why))
            return
        host = str(found[0][4][0])
        self._speak(
            FarSound(host, far.port, host, far.rtcp_port, far.codec, far.payload, far.codecs, far.listens, far.speaks)
        )

    def _speak(self, far: FarSound) -> None:
        if self._done.done() or self._pair is None:
            return
        self.far = far
        if self.sound is not None:
            self.sound.redirect(far)
            return
        self.sound = Sound(self._pair, far, self._order.seconds)
        self.sound.start()
        self._agent.later(self._order.seconds, lambda: self._finish(None))

    # -- the report -------------------------------------------------------------------

    def _finish(self, report: LineReport | None) -> None:
        if not self._done.done():
            self._done.set_result(self._measured() if report is None else report)

    def _no_call(self, cause: ClearCause, status: int, raw: str) -> LineReport:
        return LineReport(
            LineEnd.NO_CALL,
            cause,
            status,
            words(raw),
            words(self._call.peer_product) if self._call is not None else "",
            post_dial_s=self._sign_s,
            answer_s=self._answered_s,
        )

    def _measured(self, *, cut: bool = False) -> LineReport:
        sound, far, call = self.sound, self.far, self._call
        if sound is None or far is None or call is None:
            return self._no_call(ClearCause.FAR_END, 0, "hung up before any sound")
        sound.stop()
        heard = sound.heard
        counts = heard.stream.counts
        loud = [level for _, level in heard.came]
        span_s = heard.last_sent_s - (heard.first_sent_s or 0.0)
        pace = (heard.sent + heard.unsent - 1) * tone.FRAME_S / span_s - 1 if span_s > 0 else 0.0
        return LineReport(
            LineEnd.MEASURED,
            peer=words(call.peer_product),
            codec=heard.codec or far.codec.name,
            post_dial_s=self._sign_s,
            answer_s=self._answered_s,
            talked_s=min(self._order.seconds, len(heard.sent_s) * tone.FRAME_S),
            cut=cut,
            held=not far.speaks,
            sent=heard.sent,
            received=counts.received,
            expected=counts.expected,
            lost=counts.lost,
            longest_loss=min(counts.longest_loss, counts.lost),
            late=counts.late,
            doubled=counts.doubled,
            jitter_s=heard.stream.jitter_s,
            jitter_max_s=heard.stream.jitter_max_s,
            pause_s=heard.pause_s,
            heard_pct=100.0 * sum(level >= _SILENCE_RMS for level in loud) / len(loud) if loud else None,
            level_dbov=_dbov(max(loud)) if loud else None,
            rtt_s=median(heard.trips_s) if heard.trips_s else None,
            rtt_max_s=max(heard.trips_s, default=None),
            echo_s=tone.echo_s(heard.sent_s, heard.came),
            far_lost_pct=heard.far_lost_pct,
            far_jitter_s=heard.far_jitter_s,
            far_deaf=0 < heard.far_blind == heard.far_reports and far.listens,
            pace_error_pct=100.0 * pace,
            slipped=heard.slipped,
        )


def _dbov(rms: int) -> float:
    """A level against the largest there can be (RFC 6464 section 3)."""
    return max(-127.0, 20 * log10(rms / _FULL)) if rms > 0 else -127.0
