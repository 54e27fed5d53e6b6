"""`diemcau device` and `diemcau trace`: one endpoint's control session by hand, with its bytes to be seen."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from adapters import (
    AdapterError,
    Address,
    AutoAnswer,
    AutoAnswerMode,
    DialOptions,
    Identity,
    LegCleared,
    LegConnected,
    LegRinging,
    LegState,
)
from adapters.transcript import Blackout, Recorder, Tape, written
from api.commands.ground import BadInput, database_of, print_json, refuse, run, settings_or_refuse
from api.logs import start_logging
from api.probing import LEG, NoConsole, Probe, probing
from api.settings import Settings
from api.vocabulary import CAUSES as CAUSE_WORDS
from api.vocabulary import meaning
from api.words import say
from orchestrator.refusal import NotThere
from orchestrator.store.host_keys import PinnedHostKeys
from orchestrator.store.inventory import endpoint_by_name
from schedules.clock import SystemClock

app = typer.Typer()

FAILED = 1
_SET_UP_S = 75.0
_END_S = 20.0
_AUTO_ANSWER: Mapping[str, AutoAnswer] = {
    "off": AutoAnswer(AutoAnswerMode.OFF),
    "on": AutoAnswer(AutoAnswerMode.ON),
    "muted": AutoAnswer(AutoAnswerMode.ON, muted=True),
    "do-not-disturb": AutoAnswer(AutoAnswerMode.DO_NOT_DISTURB),
}


class _Over(Exception):
    """What was ordered did not come about; the text says why."""


class _WireTape:
    """Prints what is sent and heard, line by line, without the secret."""

    def __init__(self, secret: str, inner: Tape) -> None:
        self._blackout = Blackout([secret])
        self._inner = inner
        self._began = time.monotonic()
        self._heard = bytearray()

    def sent(self, data: bytes) -> None:
        self._inner.sent(data)
        self.flush()
        self._print(">", data)

    def received(self, data: bytes) -> None:
        self._inner.received(data)
        self._heard += data
        *lines, rest = self._heard.split(b"\n")
        self._heard = bytearray(rest)
        for line in lines:
            self._print("<", bytes(line) + b"\n")

    def verb(self, name: str, arguments: Mapping[str, Any]) -> None:
        self._inner.verb(name, arguments)

    def event(self, words: str) -> None:
        self._inner.event(words)

    def hide(self, told: bytes, shown: bytes) -> None:
        self._inner.hide(told, shown)
        self._blackout.hide(told, shown)

    def flush(self) -> None:
        """Print what came without a line end: a prompt."""
        if self._heard:
            self._print("<", bytes(self._heard))
            self._heard.clear()

    def _print(self, mark: str, data: bytes) -> None:
        text = self._blackout.over(written(data))
        sys.stderr.write(f"{mark} {time.monotonic() - self._began:.3f} {text}\n")


class _Tapes:
    """The tape of the one session there is."""

    def __init__(self, wire: bool) -> None:
        self._wire = wire
        self.recorder: Recorder | None = None
        self.shown: _WireTape | None = None

    def __call__(self, device: str, family: str, secret: str) -> Tape:
        self.recorder = Recorder(family, [secret], time.monotonic, f"{family}: a session with {device}")
        if not self._wire:
            return self.recorder
        self.shown = _WireTape(secret, self.recorder)
        return self.shown

    def end(self, file: Path | None) -> None:
        if self.shown is not None:
            self.shown.flush()
        if file is not None and self.recorder is not None:
            file.write_text(self.recorder.text(), encoding="utf-8")


# --- the verbs ------------------------------------------------------------------------------------------------------


async def _identity(probe: Probe, opened: Identity, _: str, __: "_Wishes") -> object:
    return asdict(opened)


async def _status(probe: Probe, opened: Identity, _: str, __: "_Wishes") -> object:
    return _plain(asdict(await probe.endpoint.status()))


async def _dial(probe: Probe, opened: Identity, to: str, wishes: "_Wishes") -> object:
    try:
        address = Address.parse(to)
    except ValueError as error:
        raise BadInput(str(error)) from None
    if probe.remembered() is not None and await _pick_up(probe) is not LegState.CLEARED:
        raise BadInput("a call of an earlier probe is still up; hang it up first")
    await probe.endpoint.dial(LEG, address, DialOptions("diemcau", max_kbps=wishes.kbps))
    await _until(probe, LegConnected, _SET_UP_S)
    return {"call": "connected"}


async def _answer(probe: Probe, opened: Identity, _: str, __: "_Wishes") -> object:
    await probe.endpoint.answer(LEG)
    await _until(probe, LegConnected, _END_S)
    return {"call": "connected"}


async def _hang_up(probe: Probe, opened: Identity, _: str, __: "_Wishes") -> object:
    if await _pick_up(probe) is not LegState.CLEARED:
        await probe.endpoint.hang_up(LEG)
        with suppress(_Over):
            await _until(probe, LegCleared, _END_S)
    probe.forget()
    return {"call": "cleared"}


async def _digits(probe: Probe, opened: Identity, digits: str, _: "_Wishes") -> object:
    if await _pick_up(probe) is not LegState.CONNECTED:
        raise _Over("no call of a probe is connected there")
    await probe.endpoint.send_digits(LEG, digits)
    return {}


async def _auto_answer(probe: Probe, opened: Identity, wanted: str, _: "_Wishes") -> object:
    if wanted:
        if wanted not in _AUTO_ANSWER:
            raise BadInput(f"auto-answer {wanted!r}; expected one of {', '.join(_AUTO_ANSWER)}, or nothing to ask")
        await probe.endpoint.set_auto_answer(_AUTO_ANSWER[wanted])
    return _plain(asdict(await probe.endpoint.auto_answer()))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise BadInput(f"{text!r} is no whole number")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise BadInput(f"{text!r}; expected on or off")
    return text == "on"


def _plainly(act: Callable[[Probe, str], Awaitable[None]]) -> "_Act":
    async def carry(probe: Probe, opened: Identity, argument: str, _: "_Wishes") -> object:
        await act(probe, argument)
        return {}

    return carry


class _Wishes(NamedTuple):
    kbps: int | None


_Act = Callable[[Probe, Identity, str, _Wishes], Awaitable[object]]
_VERBS: Mapping[str, tuple[str, _Act]] = {  # verb: what it takes ("" nothing, "[X]" perhaps), and what it does
    "identity": ("", _identity),
    "status": ("", _status),
    "dial": ("ADDRESS", _dial),
    "answer": ("", _answer),
    "hangup": ("", _hang_up),
    "mute": ("", _plainly(lambda probe, _: probe.endpoint.mute(True))),
    "unmute": ("", _plainly(lambda probe, _: probe.endpoint.mute(False))),
    "volume": ("PERCENT", _plainly(lambda probe, text: probe.endpoint.set_volume(_number(text)))),
    "digits": ("DIGITS", _digits),
    "preset": ("NUMBER", _plainly(lambda probe, text: probe.endpoint.recall_preset(_number(text)))),
    "content": ("on|off", _plainly(lambda probe, text: probe.endpoint.share_content(_switch(text)))),
    "wake": ("", _plainly(lambda probe, _: probe.endpoint.wake())),
    "text": ("WORDS", _plainly(lambda probe, text: probe.endpoint.show_text(text, 30.0))),
    "auto-answer": ("[off|on|muted|do-not-disturb]", _auto_answer),
}
_USAGE = ", ".join(f"{verb} {takes}".strip() for verb, (takes, _) in _VERBS.items())


@app.command("device", help=f"Drive one endpoint by hand: {_USAGE}, forget-key.")
def device(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="its name in the inventory")],
    verb: Annotated[str, typer.Argument(metavar="VERB", help="what it is to do")],
    argument: Annotated[str, typer.Argument(help="what the verb takes")] = "",
    wire: Annotated[bool, typer.Option("--wire", help="show the bytes on stderr, without the secret")] = False,
    tape: Annotated[Path | None, typer.Option("--tape", help="record the session in this new file")] = None,
    kbps: Annotated[int | None, typer.Option(min=64, max=20_000, help="the bandwidth of a call to be dialed")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Exit code 0: done. 1: the device, or the call, did not come about. 2: wrong usage."""
    settings = _settings()
    if verb == "forget-key":
        print_json({"forgotten": run(_forget_key(settings, endpoint))})
        return
    if verb not in _VERBS:
        refuse(f"there is no verb {verb!r}; there are: {_USAGE}, forget-key")
    takes, act = _VERBS[verb]
    if bool(argument) != bool(takes) and not (takes.startswith("[") and not argument):
        refuse(f"{verb} takes {takes}" if takes else f"{verb} takes nothing more")

    async def work(probe: Probe) -> object:
        return await act(probe, await probe.endpoint.open(), argument, _Wishes(kbps))

    if tape is not None and tape.exists():
        refuse(f"{tape} is there already; expected a new file")
    tapes = _Tapes(wire)
    told = _carried_out(_probe(settings, endpoint, tapes, work), tapes, tape)
    if as_json:
        print_json(told)
    else:
        _print(told)


@app.command("trace")
def trace(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="its name in the inventory")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="where the transcript goes; a new file")],
    seconds: Annotated[float, typer.Option(min=0, max=86_400, help="how long to listen; Ctrl-C ends it too")] = 30.0,
) -> None:
    """Record a session with one endpoint: log-in, status, and what it tells, without the secret.

    The file says byte for byte what was spoken. Put into tests/transcripts it becomes a test.
    Exit code 0: recorded. 1: the device could not be had; what there was is recorded. 2: wrong usage.
    """
    settings = _settings()
    if file.exists():
        refuse(f"{file} is there already; expected a new file")

    async def work(probe: Probe) -> object:
        await probe.endpoint.open()
        with suppress(AdapterError):
            await probe.endpoint.status()
        await asyncio.sleep(seconds)
        return {"transcript": str(file)}

    tapes = _Tapes(wire=True)
    try:
        _print(_carried_out(_probe(settings, endpoint, tapes, work), tapes, file))
    except KeyboardInterrupt:
        tapes.end(file)


def _settings() -> Settings:
    settings = settings_or_refuse()
    quiet = settings.log_level == "info"  # what is printed says it all
    start_logging(settings.model_copy(update={"log_level": "warning"}) if quiet else settings)
    return settings


def _carried_out(work: Any, tapes: _Tapes, file: Path | None) -> object:
    try:
        return run(work)
    except (AdapterError, _Over) as error:
        tapes.end(None)
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(FAILED) from None
    finally:
        tapes.end(file)


async def _probe(settings: Settings, name: str, tapes: _Tapes, work: Callable[[Probe], Awaitable[object]]) -> object:
    async with database_of(settings) as database:
        async with database.read() as session:
            try:
                at = await endpoint_by_name(session, name)
            except NotThere as error:
                raise BadInput(str(error)) from None
        try:
            async with probing(settings, database, at, SystemClock(), tapes) as probe:
                return await work(probe)
        except NoConsole as error:
            raise BadInput(str(error)) from None


async def _forget_key(settings: Settings, name: str) -> int:
    async with database_of(settings) as database:
        async with database.read() as session:
            try:
                at = await endpoint_by_name(session, name)
            except NotThere as error:
                raise BadInput(str(error)) from None
        return await PinnedHostKeys(database, SystemClock().now).forget(at.endpoint.control_host)


async def _pick_up(probe: Probe) -> LegState:
    memory = probe.remembered()
    if memory is None:
        return LegState.CLEARED
    state = (await probe.endpoint.adopt(LEG, memory)).state
    if state is LegState.CLEARED:
        probe.forget()
    return state


async def _until(probe: Probe, wanted: type[LegConnected] | type[LegCleared], within_s: float) -> None:
    """Wait for an event of the probe's call; tells of the others on the way."""
    language = settings_or_refuse().language
    try:
        async with asyncio.timeout(within_s):
            while True:
                event = await probe.events.get()
                if isinstance(event, LegRinging):
                    sys.stderr.write(say(language, "ringing") + "\n")
                elif isinstance(event, LegCleared):
                    probe.forget()
                    ended = event.cleared
                    if wanted is LegCleared:
                        return
                    raise _Over(f"{meaning(language, CAUSE_WORDS, ended.cause)} ({ended.raw or ended.cause})")
                elif isinstance(event, wanted):
                    return
    except TimeoutError:
        raise _Over(f"nothing was heard of the call within {within_s:g} s; `status` shows how it stands") from None


def _plain(facts: Any) -> Any:
    """The same with words and instants as JSON has them."""
    if isinstance(facts, dict):
        return {key: _plain(value) for key, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_plain(one) for one in facts]
    return facts.isoformat() if isinstance(facts, datetime) else facts


def _print(told: object) -> None:
    assert isinstance(told, dict)
    for key, value in told.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        sys.stdout.write(f"{key}: {shown}\n")
