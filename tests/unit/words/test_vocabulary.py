"""Machine names of the lower rooms all have words."""

import ast
from pathlib import Path

import orchestrator
from adapters import AdapterError, ClearCause, Side
from api.vocabulary import CAUSES, SIDES, STOPPED, device_words, meaning, reason, stopped, why


def test_every_cause_side_and_error_of_the_hands_has_words() -> None:
    assert {str(cause) for cause in ClearCause} <= set(CAUSES)
    assert {error.__name__ for error in AdapterError.__subclasses__()} <= set(CAUSES)
    assert {str(side) for side in Side} - {"unknown"} == set(SIDES)


def test_a_reason_says_words_and_the_devices_code() -> None:
    assert reason("en", "busy", "far_end", "486 Busy Here") == "busy in another call (SIP 486 Busy Here)"
    assert reason("vi", "busy", "far_end", "SIP 486 Busy Here").endswith("(SIP 486 Busy Here)")
    assert reason("en", "lost", "network", "") == "the connection was lost (the network)"
    assert reason("en", "", "", "") == ""


def test_an_endpoint_that_is_not_registered_is_told_as_that() -> None:
    assert reason("vi", "unreachable", "network", "not registered").endswith("(chưa đăng ký với hệ thống)")
    told = reason("en", "unreachable", "network", "not registered since 2026-11-22T19:42+00:00")
    assert told.endswith("(not registered with us since 2026-11-22 19:42 UTC)")


def test_unlisted_names_are_shown_as_they_stand() -> None:
    assert meaning("vi", CAUSES, "brand-new") == "brand-new"
    assert reason("en", "brand-new") == "brand-new"


def test_only_a_sip_status_is_called_one() -> None:
    assert device_words("SIP/2.0 603 Decline") == "SIP 603 Decline"
    assert device_words("Q.850 17 user busy") == "Q.850 17 user busy"
    assert device_words("17") == "17"


def line(state: str, **more: object) -> dict[str, object]:
    evidence = {"endpoint": "unknown", "bridge": "unknown"}
    return {
        "kind": "site",
        "state": state,
        "evidence": evidence,
        "cause": "",
        "side": "",
        "raw": "",
        "stopped_why": "",
        **more,
    }


def test_why_somebody_is_not_in_names_the_missing_side_and_the_code() -> None:
    assert why("en", line("in", cause="busy")) == ""
    seen = {"endpoint": "connected", "bridge": "not-in"}
    assert why("en", line("half-in", evidence=seen)) == "the bridge does not show it yet"
    seen = {"endpoint": "not-connected", "bridge": "in"}
    assert why("en", line("half-in", evidence=seen)) == "the endpoint does not confirm it yet"
    assert why("en", line("half-in", evidence=seen, kind="room")) == "the far room has not let us in yet"
    assert why("en", line("retrying", cause="busy", raw="486")) == "busy in another call (SIP 486)"


def test_why_somebody_is_not_dialed_again() -> None:
    assert stopped("en", "declined 3 times in a row") == "the call was declined, 3 times in a row"
    assert stopped("vi", "hung up by an operator") == "người điều hành đã ngắt"
    assert stopped("vi", "something new") == "something new"
    by_hand = line("stopped", cause="local", side="ours", stopped_why="hung up by an operator")
    assert why("en", by_hand) == "hung up by an operator"
    refused = line("stopped", cause="declined", raw="603 Decline", stopped_why="hung up on purpose again")
    assert why("en", refused) == "hung up on purpose again: the call was declined (SIP 603 Decline)"


def test_the_mind_writes_no_reason_to_stop_that_has_no_words() -> None:
    """Every constant text of a Stop, and of a track's `stopped`, is in the table."""
    written = set()
    for path in (Path(orchestrator.__file__).parent).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            given: list[ast.expr] = []
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Stop":
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") == "stopped":
                given = [node.value]
            given = [
                half for one in given for half in ([one.body, one.orelse] if isinstance(one, ast.IfExp) else [one])
            ]
            written |= {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    assert "hung up on purpose again" in written
    assert written - {""} <= set(STOPPED)
