"""Digest answers, against the examples of RFC 7616 section 3.9 and RFC 2617 section 3.5."""

import hashlib

import pytest

from adapters.sip.digest import Challenge, Keyring, authorization, strongest
from adapters.sip.message import Request, Response

RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
LOGIN = ("Mufasa", "Circle of Life")


@pytest.mark.rfc("7616", "3.4.1", "3.9.1")
@pytest.mark.rfc("3261", "22.4")
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = Challenge.parse(RFC_7616.format(algorithm))
    assert challenge is not None
    value = authorization(challenge, "GET", "/dir/index.html", *LOGIN, count=1, cnonce=CNONCE)
    assert f'response="{response}"' in value
    assert "qop=auth, nc=00000001" in value
    assert f"algorithm={algorithm}" in value
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in value


@pytest.mark.rfc("7616", "3.4.1")
@pytest.mark.rfc("3261", "22.4")
def test_the_example_of_rfc_2617_and_the_old_form_without_qop() -> None:
    text = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    with_qop = Challenge.parse(f'{text}, qop="auth,auth-int"')
    assert with_qop is not None
    value = authorization(with_qop, "GET", "/dir/index.html", "Mufasa", "Circle Of Life", count=1, cnonce="0a4f113b")
    assert 'response="6629fae49393a05397450978507c4ef1"' in value
    without = Challenge.parse(text)
    assert without is not None
    value = authorization(without, "GET", "/dir/index.html", "Mufasa", "Circle Of Life", count=1, cnonce="x")
    assert 'response="670fd8c2df070c60b045671b8b24ff02"' in value
    assert "nc=" not in value


@pytest.mark.rfc("7616", "3.4.2", "3.4.3")
@pytest.mark.rfc("8760", "2.1")
@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_sha_512_256_session_and_body(session: bool, qop: str) -> None:
    algorithm = "SHA-512-256" + ("-sess" if session else "")
    challenge = Challenge.parse(f'Digest realm="r", nonce="n", qop="{qop}", algorithm={algorithm}')
    assert challenge is not None
    value = authorization(challenge, "INVITE", "sip:a@b", "u", "p", count=2, cnonce="c", body=b"v=0")

    def h(text: str) -> str:
        return hashlib.new("sha512_256", text.encode()).hexdigest()

    a1 = h("u:r:p")
    if session:
        a1 = h(f"{a1}:n:c")
    a2 = h("INVITE:sip:a@b" + (":" + h("v=0") if qop == "auth-int" else ""))
    assert f'response="{h(f"{a1}:n:00000002:c:{qop}:{a2}")}"' in value


@pytest.mark.rfc("8760", "2.4")
def test_the_strongest_challenge_is_answered_and_others_are_not_understood() -> None:
    offered = [
        Challenge.parse(text)
        for text in (
            'Basic realm="r"',
            'Digest realm="r", nonce="1", algorithm=MD5',
            'Digest realm="r", nonce="2", algorithm=SHA-256, qop="auth"',
            'Digest realm="r", nonce="3", algorithm=SHA3-1024',
            'Digest realm="r", algorithm=MD5',
            'Digest realm="r", nonce="4", algorithm=SHA-512-256, qop="token"',
        )
    ]
    assert [challenge is not None for challenge in offered] == [False, True, True, False, False, False]
    best = strongest(offered)
    assert best is not None
    assert best.nonce == "2"
    assert strongest([None]) is None


@pytest.mark.rfc("7616", "3.4")
def test_quotes_in_names_stay_quotes() -> None:
    challenge = Challenge.parse(r'Digest realm="a \"b\" c", nonce="n"')
    assert challenge is not None
    assert challenge.realm == 'a "b" c'
    value = authorization(challenge, "BYE", "sip:x", 'u"', "p", count=1, cnonce="c")
    assert r'username="u\"", realm="a \"b\" c"' in value


def _request() -> Request:
    return Request("INVITE", "sip:a@b", {})


def _asks(**headers: list[str]) -> Response:
    return Response(401, "Unauthorized", {name.replace("_", "-"): values for name, values in headers.items()})


@pytest.mark.rfc("7616", "3.4")
def test_a_keyring_signs_for_what_it_learned_and_counts() -> None:
    ring, request = Keyring(), _request()
    assert ring.learn(request, _asks(www_authenticate=['Digest realm="r", nonce="n1", qop="auth"']))
    assert ring.can_answer(lambda realm: ("u", "p"))
    assert not ring.can_answer(lambda realm: None)
    ring.sign(request, lambda realm: ("u", "p"), "c")
    assert "nc=00000001" in request.headers["authorization"][0]
    second = _request()
    ring.sign(second, lambda realm: ("u", "p"), "c")
    assert "nc=00000002" in second.headers["authorization"][0]


@pytest.mark.rfc("7616", "3.3")
@pytest.mark.rfc("3261", "22.1")
def test_a_refused_answer_is_not_repeated_but_a_stale_nonce_is_renewed() -> None:
    ring, request = Keyring(), _request()
    ring.learn(request, _asks(www_authenticate=['Digest realm="r", nonce="n1", qop="auth"']))
    ring.sign(request, lambda realm: ("u", "p"), "c")
    assert not ring.learn(request, _asks(www_authenticate=['Digest realm="r", nonce="n1", qop="auth"']))
    assert ring.learn(request, _asks(www_authenticate=['Digest realm="r", nonce="n2", qop="auth", stale=TRUE']))
    again = _request()
    ring.sign(again, lambda realm: ("u", "p"), "c")
    assert 'nonce="n2"' in again.headers["authorization"][0]
    assert "nc=00000001" in again.headers["authorization"][0]


def test_a_nonce_that_was_good_before_may_grow_old_without_being_called_stale() -> None:
    ring = Keyring()
    ring.learn(_request(), _asks(www_authenticate=['Digest realm="r", nonce="n1", qop="auth"']))
    for _ in range(2):
        request = _request()
        ring.sign(request, lambda realm: ("u", "p"), "c")
    assert ring.learn(request, _asks(www_authenticate=['Digest realm="r", nonce="n2", qop="auth"']))
    request = _request()
    ring.sign(request, lambda realm: ("u", "p"), "c")
    assert 'nonce="n2"' in request.headers["authorization"][0]
    assert not ring.learn(request, _asks(www_authenticate=['Digest realm="r", nonce="n3", qop="auth"']))


@pytest.mark.rfc("7616", "3.4.2")
def test_a_session_key_keeps_its_client_nonce() -> None:
    ring = Keyring()
    ring.learn(_request(), _asks(www_authenticate=['Digest realm="r", nonce="n1", qop="auth", algorithm=MD5-sess']))
    nonces = set()
    for number in range(2):
        request = _request()
        ring.sign(request, lambda realm: ("u", "p"), f"c{number}")
        nonces.add(request.headers["authorization"][0].partition('cnonce="')[2].partition('"')[0])
    assert nonces == {"c0"}


@pytest.mark.rfc("3261", "22.2", "22.3")
def test_a_proxy_and_a_server_can_both_be_answered() -> None:
    ring, request = Keyring(), _request()
    ring.learn(request, _asks(proxy_authenticate=['Digest realm="p", nonce="1"']))
    ring.sign(request, lambda realm: (f"user-of-{realm}", "x"), "c")
    assert 'username="user-of-p"' in request.headers["proxy-authorization"][0]
    assert ring.learn(request, _asks(www_authenticate=['Digest realm="s", nonce="2"']))
    both = _request()
    ring.sign(both, lambda realm: (f"user-of-{realm}", "x"), "c")
    assert 'username="user-of-p"' in both.headers["proxy-authorization"][0]
    assert 'username="user-of-s"' in both.headers["authorization"][0]
