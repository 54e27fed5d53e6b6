"""The rules of session timers (RFC 4028): who refreshes, how often, and what is refused."""

import pytest

from adapters.sip.message import Headers, Request, Response
from adapters.sip.session_timer import Policy, Terms, agreed, asking, granted, knows, longer, refused, seconds, strange

POLICY = Policy()


def invite(**headers: str) -> Request:
    return Request("INVITE", "sip:room@192.0.2.1", _headers(headers))


def ok(status: int = 200, **headers: str) -> Response:
    return Response(status, "", _headers(headers))


def _headers(headers: dict[str, str]) -> Headers:
    return {name.replace("_", "-"): [value] for name, value in headers.items()}


@pytest.mark.rfc("4028", "10")
def test_half_the_interval_and_a_third_but_at_most_32_s_before_its_end() -> None:
    assert (Terms(1800, True).refresh_s, Terms(1800, True).deadline_s) == (900, 1768)
    assert (Terms(90, True).refresh_s, Terms(90, False).deadline_s) == (45, 60)
    assert Terms(96, False).deadline_s == 64


@pytest.mark.rfc("4028", "7.1")
def test_the_first_request_leaves_open_who_refreshes() -> None:
    assert asking(POLICY, None, 0) == [("supported", "timer"), ("session-expires", "1800")]


@pytest.mark.rfc("4028", "7.3")
def test_after_a_422_what_was_wanted_is_asked_for() -> None:
    assert asking(POLICY, None, 3600) == [("supported", "timer"), ("session-expires", "3600"), ("min-se", "3600")]


@pytest.mark.rfc("4028", "7.4")
@pytest.mark.parametrize(("ours", "who"), [(True, "uac"), (False, "uas")])
def test_a_refresh_keeps_the_interval_and_who_refreshes(ours: bool, who: str) -> None:
    assert asking(POLICY, Terms(600, ours), 0)[1] == ("session-expires", f"600;refresher={who}")


@pytest.mark.rfc("4028", "7.2")
@pytest.mark.parametrize(
    ("value", "terms"),
    [
        ("1800;refresher=uac", Terms(1800, True)),
        ("1800 ; Refresher = UAS", Terms(1800, False)),
        ("600;refresher=uas;x=y", Terms(600, False)),
        ("1800", Terms(1800, True)),  # may not be, but somebody must refresh
        ("5;refresher=uac", Terms(90, True)),  # nobody makes us refresh every other second
        ("99999999;refresher=uac", Terms(7 * 86_400, True)),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_what_a_2xx_says(value: str, terms: Terms | None) -> None:
    assert agreed(ok(session_expires=value), POLICY) == terms


@pytest.mark.rfc("4028", "7.2")
def test_a_2xx_without_an_interval_means_no_timer() -> None:
    assert agreed(ok(), POLICY) is None


@pytest.mark.rfc("4028", "5", "6")
@pytest.mark.parametrize(
    ("status", "min_se", "floor"),
    [(422, "1900", 1900), (422, "90", None), (422, "x", None), (422, "999999999", None), (486, "1900", None)],
)
def test_the_floor_of_a_422(status: int, min_se: str, floor: int | None) -> None:
    assert longer(ok(status, min_se=min_se), POLICY) == floor


@pytest.mark.rfc("4028", "9")
@pytest.mark.parametrize(
    ("supported", "asked", "answered", "ours"),
    [
        # RFC 4028 section 9, table 2
        ("timer", "600", "600;refresher=uac", False),
        ("timer", "600;refresher=uac", "600;refresher=uac", False),
        ("timer", "600;refresher=uas", "600;refresher=uas", True),
        ("100rel", "600", "600;refresher=uas", True),
        ("100rel", "600;refresher=uas", "600;refresher=uas", True),
        ("100rel", "600;refresher=uac", "600;refresher=uas", True),
        ("100rel", "60", "90;refresher=uas", True),  # a proxy put it in: it cannot be refused
    ],
)
def test_who_refreshes_what_was_asked_of_us(supported: str, asked: str, answered: str, ours: bool) -> None:
    terms, headers = granted(invite(supported=supported, session_expires=asked), POLICY, None)
    said = dict(headers)
    assert terms is not None and terms.ours is ours
    assert said["session-expires"] == answered
    assert (said.get("require") == "timer") is answered.endswith("uac")


@pytest.mark.rfc("4028", "5", "9")
def test_the_interval_is_never_less_than_the_asking_side_can_bear() -> None:
    terms, _ = granted(invite(supported="timer", session_expires="120", min_se="300"), POLICY, None)
    assert terms == Terms(300, False)


def test_a_request_that_asks_for_none_gets_none() -> None:
    assert granted(invite(supported="timer"), POLICY, None) == (None, [])


@pytest.mark.parametrize(
    ("supported", "before", "after"),
    [("timer", Terms(600, True), "uas"), ("timer", Terms(600, False), "uac"), ("", Terms(600, False), "uas")],
)
def test_a_request_without_timer_leaves_the_one_there_is(supported: str, before: Terms, after: str) -> None:
    terms, headers = granted(invite(supported=supported), POLICY, before)
    assert terms == Terms(600, after == "uas")
    assert dict(headers)["session-expires"] == f"600;refresher={after}"


@pytest.mark.rfc("4028", "6", "9")
@pytest.mark.parametrize(
    ("supported", "asked", "refusal"),
    [
        ("timer", "60", [("min-se", "90")]),
        ("replaces, timer", "89", [("min-se", "90")]),
        ("timer", "90", None),
        ("timer", "x", None),
        ("", "60", None),
    ],
)
def test_too_short_a_timer_is_refused_to_who_understands_that(
    supported: str, asked: str, refusal: list[tuple[str, str]] | None
) -> None:
    assert refused(invite(supported=supported, session_expires=asked), POLICY) == refusal


def test_who_knows_timers() -> None:
    assert knows(invite(supported="100rel, Timer")) and knows(invite(require="timer"))
    assert not knows(invite(supported="timers")) and not knows(invite())


@pytest.mark.rfc("3261", "8.2.2.3")
def test_100rel_is_an_extension_nobody_here_knows() -> None:
    assert strange(["timer", "100rel", "Timer"]) == ["100rel"]


def test_no_length_of_digits_is_too_much() -> None:
    assert seconds("9" * 9) == 7 * 86_400
    assert seconds("9" * 5000) is None
