"""What the registrar remembers is bounded, and what it has forgotten is never believed."""

from adapters.sip.nonce import Judgment, Nonces
from adapters.sip.throttle import Throttle

KEY = b"a key of the installation"


def test_a_throttle_forgets_the_source_heard_of_longest_ago() -> None:
    throttle = Throttle(per_s=1.0, burst=1.0, most=3)
    for source in ("a", "b", "c"):
        assert throttle.take(source, 0.0)
    assert not throttle.take("a", 0.5)
    assert throttle.take("d", 0.5) and len(throttle) == 3
    assert not throttle.has("a", 0.5) and throttle.has("b", 0.5)


def test_a_throttle_fills_with_the_time_and_never_beyond_its_burst() -> None:
    throttle = Throttle(per_s=0.5, burst=2.0)
    assert [throttle.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert not throttle.has("a", 1.9) and throttle.has("a", 2.1)
    assert [throttle.take("a", 1000.0) for _ in range(3)] == [True, True, False]
    assert not throttle.has("a", 10.0)  # a clock that was put back gives nothing away


def test_a_forgotten_nonce_is_stale_and_so_are_all_as_old() -> None:
    nonces = Nonces(KEY, born_s=100.0, most=2)
    made = [nonces.make("a", 100.0 + each) for each in range(4)]
    assert nonces.count(made[0], 1) and nonces.count(made[1], 1)
    assert nonces.judge(made[0], "a", 104.0) is Judgment.GOOD
    assert nonces.count(made[3], 1) and len(nonces) == 2
    judged = [nonces.judge(nonce, "a", 104.0) for nonce in made]
    assert judged == [Judgment.STALE, Judgment.GOOD, Judgment.GOOD, Judgment.GOOD]


def test_each_nc_counts_once_and_only_upwards() -> None:
    nonces = Nonces(KEY, born_s=0.0)
    nonce = nonces.make("a", 10.0)
    assert [nonces.count(nonce, nc) for nc in (1, 1, 3, 2, 4)] == [True, False, True, False, True]


def test_another_installation_makes_other_nonces() -> None:
    nonce = Nonces(b"another key", born_s=0.0).make("a", 10.0)
    assert Nonces(KEY, born_s=0.0).judge(nonce, "a", 11.0) is Judgment.FORGED
