"""Tokens are good for one connection; faults are used up in order."""

from visavis_motion_sim.faults import FaultOrder, Faults, Refusal
from visavis_motion_sim.tokens import Tokens, Verdict


def test_a_token_is_good_once() -> None:
    tokens = Tokens()
    token = tokens.issue(expire_at=100.0, now=0.0)
    assert tokens.redeem(token, 50.0) is Verdict.GOOD
    assert tokens.redeem(token, 50.0) is Verdict.USED
    assert tokens.redeem("other", 50.0) is Verdict.UNKNOWN


def test_a_token_expires_and_is_forgotten() -> None:
    tokens = Tokens()
    old = tokens.issue(expire_at=100.0, now=0.0)
    assert tokens.redeem(old, 100.0) is Verdict.EXPIRED
    tokens.issue(expire_at=400.0, now=300.0)
    assert tokens.redeem(old, 300.0) is Verdict.UNKNOWN


def test_refusals_are_taken_in_order_at_their_own_stage() -> None:
    faults = Faults()
    faults.order(FaultOrder(refuse_next=Refusal(code=4001, count=2)))
    faults.order(FaultOrder(refuse_next=Refusal(http_status=402)))
    assert faults.take_refusal(http=True) is None
    assert [getattr(faults.take_refusal(http=False), "code", None) for _ in range(3)] == [
        4001,
        4001,
        None,
    ]
    refusal = faults.take_refusal(http=True)
    assert refusal is not None
    assert refusal.http_status == 402


def test_lost_rpcs_are_counted_down_or_lost_until_reset() -> None:
    faults = Faults(first_audio_delay_ms=5)
    faults.order(FaultOrder(lose_rpcs=1, first_audio_delay_ms=100))
    assert [faults.take_lost_rpc(), faults.take_lost_rpc()] == [True, False]
    faults.order(FaultOrder(lose_rpcs=-1))
    assert [faults.take_lost_rpc(), faults.take_lost_rpc()] == [True, True]
    faults.reset()
    assert not faults.take_lost_rpc()
    assert faults.first_audio_delay_ms == 5
