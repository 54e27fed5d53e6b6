"""One function a subject: takes any bytes, and raises only when something is wrong with our code."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime

from adapters.sip import sdp as sdps
from adapters.sip import session_timer
from adapters.sip.binding import Asked, Binding, Refused, Source, Terms, in_turn, reach, shown
from adapters.sip.dialog import Dialog
from adapters.sip.digest import Challenge, Keyring
from adapters.sip.framing import Framer
from adapters.sip.login import Answer, BadAnswer
from adapters.sip.message import (
    MAX_BODY,
    MAX_HEAD,
    Malformed,
    Request,
    Response,
    display_of,
    parse,
    rejection,
    response_to,
    tag_of,
    uri_of,
)
from adapters.sip.session_timer import Policy
from adapters.sip.sipfrag import status_of
from adapters.sip.transaction import Timing, Transactions
from adapters.sip.uri import BadUri, Uri, sent_by, stamp_via, via_target
from adapters.sip.wheel import Wheel

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_LAYER = Transactions(Timing(), Wheel())


def parser(data: bytes) -> None:
    """Only Malformed; what was believed reads the same when it is written again, and can be answered."""
    try:
        message = parse(data)
    except Malformed as wrong:
        if wrong.request is not None:
            _is_one_message(rejection(wrong.request, wrong, "tag").to_bytes())
        return
    assert message.call_id
    assert 0 <= message.cseq < 2**31
    again = parse(message.to_bytes())
    assert again.headers == message.headers
    assert again.body == message.body
    assert (again.branch, again.call_id, again.cseq, again.cseq_method, again.from_tag, again.to_tag) == (
        message.branch, message.call_id, message.cseq, message.cseq_method, message.from_tag, message.to_tag,
    )  # fmt: skip
    for name in ("from", "to", "contact", "record-route"):
        for value in message.listed(name):
            display_of(value), tag_of(value), _uri(uri_of(value))
    if isinstance(message, Request):
        _answer(message)
    else:
        _learn(message)


def _answer(request: Request) -> None:
    _LAYER.key_of(request)
    with contextlib.suppress(BadUri):
        via_target(stamp_via((request.listed("via") or [""])[0], "192.0.2.7", 7))
    answer = parse(response_to(request, 200, to_tag="tag").to_bytes())
    assert (answer.call_id, answer.cseq, answer.branch) == (request.call_id, request.cseq, request.branch)
    assert answer.to_tag == (request.to_tag or "tag")
    dialog = Dialog.received(request, "tag")
    assert Dialog.from_memory(dialog.to_memory(), 0.0).key == dialog.key
    dialog.refresh(request)
    bye = dialog.request("BYE", "z9hG4bK1")
    bye.headers["via"] = ["SIP/2.0/UDP h;branch=z9hG4bK1"]
    if _uri(dialog.next_hop()) and _uri(bye.uri):
        assert isinstance(parse(bye.to_bytes()), Request)


def _learn(response: Response) -> None:
    dialog = Dialog(response.call_id, "<sip:a@h>", "tag", "<sip:b@h>", "sip:b@h")
    request = dialog.request("INVITE", "z9hG4bK1")
    keys = Keyring()
    if keys.learn(request, response):
        keys.sign(request, lambda realm: ("user", "secret"), "cnonce")
        request.headers["via"] = ["SIP/2.0/UDP h;branch=z9hG4bK1"]
        _is_one_message(request.to_bytes())
    dialog.establish(response)


def _is_one_message(data: bytes) -> None:
    """Nothing that we write can be read as more than one message or as other headers."""
    head, empty, body = data.partition(b"\r\n\r\n")
    assert empty
    assert not body
    assert b"\n" not in head.replace(b"\r\n", b"")


def _uri(text: str) -> bool:
    try:
        found = Uri.parse(text)
    except BadUri:
        return False
    assert found.host
    assert found.port is None or 0 < found.port < 65536
    return True


def framing(data: bytes) -> None:
    """However a stream is cut, the same messages come out, and no more is kept than one may have."""
    whole, whole_wrong = _framed([data])
    size = data[0] % 61 + 1 if data else 1
    cut, cut_wrong = _framed([data[at : at + size] for at in range(0, len(data), size)])
    assert cut_wrong == whole_wrong
    # a stream that cannot be trusted takes with it what came in the same piece
    assert cut == whole if not whole_wrong else cut[: len(whole)] == whole
    for message in cut:
        with contextlib.suppress(Malformed):
            parse(message)


def _framed(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    framer, out = Framer(), []
    for piece in pieces:
        try:
            out += framer.feed(piece)
        except Malformed:
            return out, True
        assert len(framer._buffer) <= MAX_HEAD + MAX_BODY + 8
    return out, False


def uri(data: bytes) -> None:
    """URIs and Vias raise BadUri only; what was stamped on a Via is where an answer goes."""
    text = data.decode("utf-8", "surrogateescape")
    _uri(text)
    sent_by(text)
    try:
        stamped = stamp_via(text, "192.0.2.7", 7)
    except BadUri:
        return
    host, port = via_target(stamped)
    assert host
    assert port >= 0


def digest(data: bytes) -> None:
    """A challenge is read or it is not; its answer stays on its line."""
    text = data.decode("utf-8", "surrogateescape").replace("\n", " ").replace("\r", " ")
    challenge = Challenge.parse(text)
    request = Dialog("c", "<sip:a@h>", "t", "<sip:b@h>", "sip:b@h").request("REGISTER", "z9hG4bK1")
    keys = Keyring()
    learned = keys.learn(request, Response(401, "", {"www-authenticate": [text], "proxy-authenticate": [text]}))
    assert learned == (challenge is not None)
    if learned:
        keys.sign(request, lambda realm: ("us\u00e9r", 'se"cret'), "cnonce")
        assert len(request.headers["authorization"]) == len(request.headers["proxy-authorization"]) == 1
        request.headers["via"] = ["SIP/2.0/UDP h;branch=z9hG4bK1"]
        _is_one_message(request.to_bytes())


def sdp(data: bytes) -> None:
    """Whatever is offered, the answers have its lines, and what is switched off is only its port."""
    lines = sdps.medias(data)
    for answer in (sdps.hold(data, 1, "192.0.2.1"), sdps.refusal(data, 1, "::1")):
        assert [(line.kind, line.protocol) for line in sdps.medias(answer)] == [
            (line.kind, line.protocol) for line in lines
        ]
    assert not any(line.port for line in sdps.medias(sdps.refusal(data, 1, "192.0.2.1")))
    for changed in (sdps.without_doubles(data), sdps.without_video(data), sdps.with_origin(data, 1, 2, "192.0.2.1")):
        assert [line.kind for line in sdps.medias(changed)] == [line.kind for line in lines]
    assert sdps.without_doubles(sdps.without_doubles(data)) == sdps.without_doubles(data)
    assert sdps.same_media(data, data)


def login(data: bytes) -> None:
    """What a stranger says to a challenge is read or named; nobody gets in without the secret."""
    text = data.decode("utf-8", "surrogateescape").replace("\n", " ").replace("\r", " ")
    try:
        answer = Answer.parse(text)
    except BadAnswer:
        return
    assert not answer.proves("REGISTER", answer.user, "a secret that nobody guesses")


def register(data: bytes) -> None:
    """A REGISTER is refused with a status, or its bindings can be stored, called and shown."""
    try:
        request = parse(data)
    except Malformed:
        return
    if not isinstance(request, Request):
        return
    for source in (Source("UDP", "192.0.2.7", 7), Source("TCP", "2001:db8::7", 7)):
        try:
            bindings = Asked.read(request, source, Terms()).apply((), NOW)
        except Refused as refused:
            assert 400 <= refused.status < 700
            continue
        for binding in in_turn(bindings):
            assert Binding.from_json(json.loads(json.dumps(binding.to_json()))) == binding
            way = reach(binding)
            assert _uri(way.target)
            assert "\n" not in shown(binding, NOW)


def timer(data: bytes) -> None:
    """Whatever a peer says of session timers, what is agreed can be kept, and what we say can be read."""
    text = data.decode("utf-8", "surrogateescape").replace("\n", " ").replace("\r", " ").strip()
    headers = {"session-expires": [text], "min-se": [text], "supported": ["timer"]}
    request, response = Request("UPDATE", "sip:a@b", dict(headers)), Response(422, "", dict(headers))
    policy = Policy()
    floor_s = session_timer.longer(response, policy)
    assert floor_s is None or floor_s > policy.min_se_s
    for terms in (session_timer.agreed(response, policy), session_timer.granted(request, policy, None)[0]):
        if terms is not None:
            assert policy.min_se_s <= terms.interval_s
            assert 0 < terms.refresh_s < terms.deadline_s < terms.interval_s


def fragment(data: bytes) -> None:
    """What a NOTIFY carries is a status or nothing."""
    found = status_of(data)
    if found is not None:
        status, reason = found
        assert 100 <= status < 700
        assert "\n" not in reason


TARGETS: dict[str, Callable[[bytes], None]] = {
    "parser": parser,
    "framing": framing,
    "uri": uri,
    "digest": digest,
    "sdp": sdp,
    "login": login,
    "register": register,
    "timer": timer,
    "fragment": fragment,
}
