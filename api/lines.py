"""What a line check found, in words: the verdict, each reason with its figures, and the figures themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.vocabulary import reason
from api.words import msgid, say

VERDICTS = {
    "": msgid("being checked"),
    "good": msgid("good"),
    "fair": msgid("fair"),
    "bad": msgid("bad"),
    "unanswered": msgid("not answered"),
    "unchecked": msgid("not checked"),
}

REASONS = {
    # of the line
    "held": msgid("the far end sends no sound: it has put the call on hold"),
    "one-way": msgid("only one way: our sound arrives there, nothing comes back"),
    "nothing-comes": msgid("no sound comes back"),
    "far-deaf": msgid("only one way: our sound does not arrive there"),
    "loss": msgid("{pct} % of the packets to us are lost"),
    "far-loss": msgid("{pct} % of our packets are lost"),
    "jitter": msgid("packets come unevenly: jitter {ms} ms"),
    "pause": msgid("the sound stops for {s} s"),
    "delay": msgid("round trip {ms} ms"),
    "silence": msgid("only silence comes: the microphone there is muted or dead"),
    "cut": msgid("the far end hung up after {s} s"),
    "slow-dial": msgid("no sign from the device for {s} s after dialing"),
    "rating": msgid("loss and delay together: rating R {r}"),
    "own-load": msgid("this machine was too busy to send {n} packets in time"),
    "not-registered": msgid("it is not registered: switched off, or cut off from the network"),
    # why nothing is known of it
    "by-connection": msgid(
        "it is registered over a connection that only the service has; the line check cannot use it"
    ),
    "in-conference": msgid("not called: run {run} has this site in hand"),
    "given-way": msgid("hung up: a conference with this site begins"),
    "being-checked": msgid("another check of it is under way"),
    "no-sip-address": msgid("it has no SIP address; the line check calls by SIP"),
    "no-secret": msgid("the SIP password cannot be opened; see the log"),
    "stopped": msgid("stopped before it was over"),
    "failed": msgid("our own side failed: {why}"),
}
_WHOLE = frozenset({"ms", "n", "run", "r"})


def verdict_words(language: str, verdict: str) -> str:
    """The verdict as people say it."""
    return say(language, VERDICTS[verdict]) if verdict in VERDICTS else verdict


def reason_words(language: str, name: str, values: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """One reason; that of a call that did not come about is its cause."""
    if name == "cause":
        status, raw = figures.get("status") or 0, str(figures.get("raw") or "")
        return reason(
            language, str(figures.get("cause") or "unknown"), raw=f"{status} {raw}".strip() if status else raw
        )
    if name not in REASONS:
        return name
    said = {key: number(language, value, 0 if key in _WHOLE else 1) for key, value in values.items()}
    return say(language, REASONS[name], **{"why": str(figures.get("raw") or ""), **said})


def why(language: str, reasons: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> str:
    """All reasons in one line."""
    return "; ".join(reason_words(language, each["name"], each["values"], figures) for each in reasons)


def number(language: str, value: float, digits: int) -> str:
    """A number as the language writes it: Vietnamese has a decimal comma."""
    text = f"{value:.{digits}f}"
    return text.replace(".", ",") if language == "vi" else text


def cells(language: str, figures: Mapping[str, Any]) -> dict[str, str]:
    """The figures for a table, each as text; empty where nothing is known."""

    def ms(name: str) -> str:
        value = figures.get(name)
        return "" if value is None else f"{number(language, 1000 * value, 0)} ms"

    def pct(lost: float | None) -> str:
        return "" if lost is None else f"{number(language, lost, 1)} %"

    expected = figures.get("expected") or 0
    has_sound = figures.get("end") == "measured"
    dial = figures.get("post_dial_s")
    return {
        "codec": str(figures.get("codec") or ""),
        "packets": f"{figures['sent']}/{figures['received']}" if has_sound else "",
        "loss": pct(100 * figures["lost"] / expected) if expected else "",
        "far_loss": pct(figures.get("far_lost_pct")),
        "jitter": ms("jitter_s"),
        "trip": ms("rtt_s"),
        "echo": ms("echo_s"),
        "dial": "" if dial is None else f"{number(language, dial, 1)} s",
    }
