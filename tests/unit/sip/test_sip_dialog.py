"""Dialogs: route sets, targets, numbering, and what outlives the process (RFC 3261 section 12)."""

import json

import pytest

from adapters.sip.dialog import Dialog
from adapters.sip.message import Request, Response, parse


def called() -> Dialog:
    return Dialog("id", '"A" <sip:a@127.0.0.1:5070>', "ours", "<sip:b@h>;x=1", "sip:b@h")


def answer(**headers: list[str]) -> Response:
    fields = {"to": ["<sip:b@h>;tag=theirs"], "contact": ["<sip:b@10.0.0.1:5099>"], **headers}
    response = Response(200, "OK", {name.replace("_", "-"): values for name, values in fields.items()})
    response.to_tag = "theirs"
    return response


@pytest.mark.rfc("3261", "12.1.2")
def test_a_2xx_gives_the_tag_the_target_and_the_route_reversed() -> None:
    dialog = called()
    dialog.request("INVITE", "z9hG4bK1")
    dialog.establish(answer(record_route=["<sip:p1;lr>, <sip:p2;lr>", "<sip:p3;lr>"]))
    bye = dialog.request("BYE", "z9hG4bK2")
    assert bye.uri == "sip:b@10.0.0.1:5099"
    assert bye.headers["route"] == ["<sip:p3;lr>", "<sip:p2;lr>", "<sip:p1;lr>"]
    assert bye.headers["to"] == ["<sip:b@h>;x=1;tag=theirs"]
    assert bye.headers["from"] == ['"A" <sip:a@127.0.0.1:5070>;tag=ours']
    assert bye.cseq == 2
    assert dialog.next_hop() == "sip:p3;lr"


@pytest.mark.rfc("3261", "12.2.1.1")
def test_a_strict_router_is_written_to_as_it_wants() -> None:
    dialog = called()
    dialog.establish(answer(record_route=["<sip:second>, <sip:first>"]))
    bye = dialog.request("BYE", "z9hG4bK1")
    assert bye.uri == "sip:first"
    assert bye.headers["route"] == ["<sip:second>", "<sip:b@10.0.0.1:5099>"]


@pytest.mark.rfc("3261", "13.2.2.4")
def test_an_ack_keeps_the_number_of_its_invite() -> None:
    dialog = called()
    invite = dialog.request("INVITE", "z9hG4bK1")
    dialog.establish(answer())
    dialog.request("INFO", "z9hG4bK2")
    assert dialog.request("ACK", "z9hG4bK3", invite.cseq).headers["cseq"] == ["1 ACK"]
    assert dialog.cseq == 2


@pytest.mark.rfc("3261", "12.2.1.2")
def test_a_contact_that_is_no_address_moves_nobody() -> None:
    dialog = called()
    dialog.establish(answer(contact=["<tel:+84>"]))
    assert dialog.target == "sip:b@h"
    dialog.refresh(answer(contact=["<sip:b@10.0.0.2>;expires=3, <sip:c@d>"]))
    assert dialog.target == "sip:b@10.0.0.2"


def invite() -> Request:
    message = parse(
        b"INVITE sip:room@us SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: Ep <sip:ep@h>;tag=theirs\r\n"
        b"t: <sip:room@us>\r\ni: id\r\nCSeq: 40 INVITE\r\nm: <sip:ep@10.0.0.9>\r\n"
        b"Record-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>\r\n\r\n"
    )
    assert isinstance(message, Request)
    return message


def in_dialog(cseq: int, tag: str = "theirs") -> Request:
    request = Request("INFO", "sip:room@us", {})
    request.cseq, request.from_tag = cseq, tag
    return request


@pytest.mark.rfc("3261", "12.1.1")
def test_the_called_side_keeps_the_order_of_the_route() -> None:
    dialog = Dialog.received(invite(), "ours")
    assert dialog.key == ("id", "ours")
    bye = dialog.request("BYE", "z9hG4bK1")
    assert bye.uri == "sip:ep@10.0.0.9"
    assert bye.headers["route"] == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert bye.headers["from"] == ["<sip:room@us>;tag=ours"]
    assert bye.headers["to"] == ["Ep <sip:ep@h>;tag=theirs"]


@pytest.mark.rfc("3261", "12.2.2")
def test_numbers_that_fall_back_and_strange_tags_are_refused() -> None:
    dialog = Dialog.received(invite(), "ours")
    assert not dialog.accepts(in_dialog(39))
    assert not dialog.accepts(in_dialog(41, tag="other"))
    assert dialog.accepts(in_dialog(41))
    assert not dialog.accepts(in_dialog(40))
    assert dialog.accepts(in_dialog(70))


def test_a_memory_is_plain_json_and_goes_on_far_ahead() -> None:
    dialog = called()
    dialog.request("INVITE", "z9hG4bK1")
    dialog.establish(answer(record_route=["<sip:p;lr>"]))
    dialog.transport, dialog.peer = "TCP", ("10.0.0.1", 5099)
    memory = json.loads(json.dumps(dialog.to_memory()))
    for _ in range(400):
        dialog.request("OPTIONS", "z9hG4bK2")
    later = Dialog.from_memory(memory, age_s=3600.0)
    assert later.to_memory() | {"cseq": 0} == dialog.to_memory() | {"cseq": 0}
    assert later.cseq > dialog.cseq
    assert later.remembered_cseq == 1
    assert Dialog.from_memory(memory, age_s=-5.0).cseq > 1
    assert Dialog.from_memory(memory, age_s=1e12).request("BYE", "z9hG4bK3").cseq < 2**31


@pytest.mark.parametrize("wrong", [{}, {"call_id": "x"}, {"cseq": "seven"}, {"routes": 3}, {"peer": ["h"]}])
def test_a_memory_that_is_none_says_so(wrong: dict[str, object]) -> None:
    memory = {**called().to_memory(), **wrong} if wrong and "call_id" not in wrong else wrong
    with pytest.raises(ValueError, match="no memory of a SIP dialog"):
        Dialog.from_memory(memory, 0.0)
