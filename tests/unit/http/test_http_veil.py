"""What is blacked out: what is known to be secret, and what stands where secrets stand."""

import re

from adapters.endpoints.huawei.link import HIDDEN
from adapters.http.veil import Veil


def test_what_is_known_is_hidden_in_every_spelling() -> None:
    veil = Veil(re.compile("(?!)"), 'mật "khẩu"')
    for text in ('{"a":"mật \\"khẩu\\""}', '{"a":"m\\u1eadt \\"kh\\u1ea9u\\""}', 'mật "khẩu"'):
        assert "kh" not in veil.over(text) and "***" in veil.over(text)


def test_what_is_learned_is_hidden_from_then_on() -> None:
    veil = Veil(HIDDEN, "")
    assert veil.over("token t0ken") == "token t0ken"
    veil.learn("t0ken")
    assert veil.over("token t0ken") == "token ***"


def test_fields_are_hidden_before_anybody_learned_them() -> None:
    veil = Veil(HIDDEN)
    for text in (
        r'{"success":1,"data":"{\"acSessionId\":\"geheim\"}"}',
        '{"data":{"acCSRFToken": "geheim"}}',
        "Set-Cookie: SessionID=geheim; path=/",
        "Sessionid: geheim\r\n",
        r'{"user":"api","password":"geh\"eim"}',
        r'{"user":"api","password":"geheim"}{"acCSRFToken":"geheim"}',
    ):
        assert "eim" not in veil.over(text), text
        assert "***" in veil.over(text)
    assert veil.over('{"acSessionId":""}') == '{"acSessionId":""}'
