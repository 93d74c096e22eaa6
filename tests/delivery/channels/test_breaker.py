from apps.delivery.channels.breaker import Breaker


def test_pauses_grow_and_end_with_success() -> None:
    breaker = Breaker(first=2, most=10)
    assert breaker.allows(0)
    pauses = []
    for at in range(5):
        breaker.failed(100.0 * at)
        pauses.append(breaker.pause)
        assert not breaker.allows(100.0 * at + breaker.pause - 0.1)
        assert breaker.allows(100.0 * at + breaker.pause)
    assert pauses == [2, 4, 8, 10, 10]
    breaker.worked()
    assert breaker.allows(0)
