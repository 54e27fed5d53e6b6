"""What NOTIFYs about a REFER say, read from bytes; and the table of a referral."""

import pytest

from adapters.sip.message import Request, Response, parse
from adapters.sip.refer import TABLE, Came, Do, Step, headers, step
from adapters.sip.sipfrag import status_line, status_of
from adapters.sip.subscription import Subscription, wants_none
from adapters.values import Address


def notify(event: str = "refer;id=2", state: str = "active;expires=60", body: bytes = b"", cseq: int = 1) -> Request:
    head = (
        "NOTIFY sip:orch@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.20.1:5060;branch=z9hG4bKe6\r\n"
        f"To: <sip:orch@127.0.0.1>;tag=1\r\nFrom: <sip:ep@127.0.20.1>;tag=2\r\nCall-ID: 7\r\nCSeq: {cseq} NOTIFY\r\n"
        f"Event: {event}\r\nSubscription-State: {state}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    read = parse(head.encode() + body)
    assert isinstance(read, Request)
    return read


@pytest.mark.rfc("3420", "2")
@pytest.mark.rfc("3515", "2.4.5")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"SIP/2.0 100 Trying\r\n", (100, "Trying")),
        (b"SIP/2.0 200 OK", (200, "OK")),  # without the line's end, as baresip 1.0.0 sends it
        (b"\r\nsip/2.0 486\r\n", (486, "")),
        (b"SIP/2.0 603 Decline\r\nTo: <sip:a@b>;tag=1\r\n\r\n", (603, "Decline")),
        (b"SIP/2.0 480 \xe9teint\r\n", (480, "\udce9teint")),
        (b"INVITE sip:a@b SIP/2.0\r\n", None),
        (b"SIP/2.0 700 Odd", None),
        (b"", None),
        (b" " * 5000 + b"SIP/2.0 200 OK", None),
    ],
)
def test_a_fragment_tells_a_status_or_nothing(body: bytes, status: tuple[int, str] | None) -> None:
    assert status_of(body) == status


def test_a_status_line_is_read_as_it_was_written() -> None:
    assert status_of(status_line(404, "Not Found")) == (404, "Not Found")


@pytest.mark.rfc("3515", "2.4.4", "2.4.7")
def test_a_subscription_is_followed_to_its_end() -> None:
    subscription = Subscription(2)
    assert not subscription.has_told
    status, notice = subscription.take(notify(body=b"SIP/2.0 180 Ringing\r\n"))
    assert status == 200 and notice is not None
    assert (notice.status, notice.is_final, notice.over, notice.expires_s) == (180, False, False, 60.0)
    status, notice = subscription.take(notify(state="terminated;reason=noresource", body=b"SIP/2.0 200 OK", cseq=2))
    assert status == 200 and notice is not None and notice.is_final and notice.over
    assert subscription.take(notify(cseq=3)) == (481, None)


@pytest.mark.rfc("3515", "2.4.6")
def test_what_belongs_to_another_subscription_is_refused() -> None:
    assert Subscription(2).take(notify(event="refer;id=3")) == (481, None)
    assert Subscription(2).take(notify(event="presence")) == (489, None)
    for known, event in ((2, "refer"), (0, "refer;id=93809823"), (2, "Refer ; ID=2")):
        assert Subscription(known).take(notify(event=event))[0] == 200


def test_a_notify_that_was_overtaken_tells_nothing() -> None:
    subscription = Subscription()
    assert subscription.take(notify(cseq=5))[0] == 200
    assert subscription.take(notify(cseq=4)) == (500, None)


@pytest.mark.parametrize(("text", "expires_s"), [("active", None), ("active;expires=x", None), ("active;expires=7", 7)])
def test_an_expiry_is_believed_only_as_a_number(text: str, expires_s: float | None) -> None:
    notice = Subscription().take(notify(state=text))[1]
    assert notice is not None and notice.expires_s == expires_s


@pytest.mark.rfc("4488", "4")
def test_who_will_not_tell_says_so() -> None:
    assert wants_none(Response(202, "Accepted", {"refer-sub": ["false"]}))
    assert not wants_none(Response(202, "Accepted", {"refer-sub": ["true"]}))
    assert not wants_none(Response(202, "Accepted", {}))


@pytest.mark.rfc("3515", "2.1", "2.4.1")
@pytest.mark.rfc("4488", "4")
def test_what_a_refer_carries() -> None:
    asked = dict(headers(Address.parse("sip:8001@192.0.2.1;transport=tcp"), "sip:dc0a-1-2-3@192.0.2.9:5060"))
    assert asked["Refer-To"] == "<sip:8001@192.0.2.1;transport=tcp>"
    assert asked["Referred-By"] == "<sip:dc0a-1-2-3@192.0.2.9:5060>"


def test_every_step_can_be_given_up_and_comes_to_its_end() -> None:
    ends = {Step.OVER}
    while True:
        more = {at for (at, _), (to, _) in TABLE.items() if to in ends} | ends
        if more == ends:
            break
        ends = more
    assert ends == set(Step)
    waiting = {Step.WITHDRAWING, Step.LEAVING, Step.PARTING, Step.OVER}
    for at in set(Step) - waiting:
        assert step(at, Came.ORDERED)[0] in waiting, at


def test_it_is_told_over_wherever_it_becomes_over_and_nowhere_else() -> None:
    for to, actions in TABLE.values():
        assert (Do.TELL_OVER in actions) == (to is Step.OVER)


def test_our_own_call_never_outlives_the_outcome() -> None:
    for (at, came), (to, actions) in TABLE.items():
        if at in (Step.ASKING_INSIDE, Step.FOLLOWING) and to not in (at, Step.FOLLOWING):
            assert Do.LEAVE_CALL in actions, (at, came)


def test_what_has_no_meaning_changes_nothing() -> None:
    assert step(Step.OVER, Came.SUCCEEDED) == (Step.OVER, ())
    assert step(Step.IN, Came.CALL_ENDED) == (Step.IN, ())
