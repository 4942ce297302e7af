"""Attention in blocks. Oracles: the softmax written out in float64; torch's kernel; counted operations."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from diffloom.nn import torch_attention
from diffloom.nn.shares import alone
from diffloom_attention import blocked, blocks
from diffloom_attention.blocked import blocked_attention
from diffloom_attention.buffer import Buffer


def operands(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """q, k and v of B, N, L, M and D."""
    batch, heads, queries, keys, width = shape
    draw = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, heads, length, width, generator=draw, dtype=torch.float64).to(dtype)
        for length in (queries, keys, keys)
    ]


def written_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """In float64."""
    scores = q.double() @ k.double().mT / q.shape[3] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(3) @ v.double()


@given(
    shape=st.tuples(
        st.integers(1, 3), st.integers(1, 5), st.integers(1, 40), st.integers(1, 40), st.integers(1, 9)
    ),
    masked=st.sampled_from([(), (0,), (1,), (2,), (0, 1, 2), (1, 2)]) | st.none(),
    budget=st.integers(1, 2000),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=80)
def test_blocks_of_any_size_are_the_softmax(
    shape: tuple[int, ...], masked: tuple[int, ...] | None, budget: int, seed: int
) -> None:
    """In float64 to its rounding: however the heads and queries are divided, and over whichever axes a mask is one."""
    q, k, v = operands(*shape, seed=seed, dtype=torch.float64)
    mask = None
    if masked is not None:
        sizes = [1 if axis in masked else size for axis, size in enumerate(shape[:4])]
        mask = torch.rand(sizes, generator=torch.Generator().manual_seed(seed)) < 0.5
        mask[..., 0] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "SCORES", budget)
        out = blocked_attention(q, k, v, mask_BNLM=mask)
    torch.testing.assert_close(out, written_out(q, k, v, mask), rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(2, 8, 256, 256, 8), (1, 4, 300, 77, 40), (1, 2, 64, 77, 160)])
def test_it_is_as_exact_as_torchs_kernel(shape: tuple[int, ...]) -> None:
    """In float32 the error's root mean square is at most 1.5 times that of torch's kernel, in bfloat16 no larger."""
    for dtype, factor in ((torch.float32, 1.5), (torch.bfloat16, 1.0)):
        q, k, v = operands(*shape, dtype=dtype)
        wanted = written_out(q, k, v)
        theirs = float((torch_attention(q, k, v) - wanted).square().mean().sqrt())
        own = float((blocked_attention(q, k, v) - wanted).square().mean().sqrt())
        assert own <= factor * theirs


def test_buffers_may_hold_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch fills fresh memory with NaN where asked to be deterministic: none of it reaches the result."""
    q, k, v = operands(2, 3, 50, 33, 8)
    monkeypatch.setattr(blocks, "buffer", Buffer())
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        out = blocked_attention(q, k, v)
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(out.double(), written_out(q, k, v), rtol=0, atol=5e-6)


@pytest.mark.parametrize("factor", [60.0, -60.0, 1e4])
def test_a_picture_of_large_scores_is_torchs_and_others_are_as_they_were(
    factor: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two pictures the first has exponentials that float32 cannot hold, upwards or downwards."""
    q, k, v = operands(2, 3, 40, 30, 8)
    plain = blocked_attention(q, k, v)
    q[0], k[0] = q[0].abs() * factor, k[0].abs()  # all scores of one sign
    blocked._tell_of_large_scores.cache_clear()
    with caplog.at_level(logging.INFO, "diffloom"):
        out = blocked_attention(q, k, v)
        blocked_attention(q, k, v)
    assert torch.equal(out[0], torch_attention(q, k, v)[0])
    assert torch.equal(out[1], plain[1])
    assert [record.message for record in caplog.records] == [
        "attention: torch's kernel computes pictures whose scores are too large for exponentials as they are"
    ]


def test_scores_that_float32_can_hold_need_no_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to ±50 or so, which trained networks do not reach; to the rounding of such scores, 50·2⁻²⁴."""
    monkeypatch.delattr(blocked, "torch_attention")
    q, k, v = operands(1, 2, 40, 30, 8)
    scores = q @ k.mT / 8**0.5
    q *= 50 / scores.abs().amax(3, keepdim=True)
    out = blocked_attention(q, k, v)
    torch.testing.assert_close(out.double(), written_out(q, k, v), rtol=0, atol=2e-5)


def test_large_values_are_not_lost() -> None:
    """Values of 10¹² times exponentials of e⁷⁰ = 10³⁰ leave float32; so torch computes them, if not values of 1."""
    q, k, v = operands(1, 2, 40, 30, 8)
    q *= 70 / (q @ k.mT / 8**0.5).amax(3, keepdim=True).abs()
    wanted = written_out(q, k, v)
    for size in (1.0, 1e12):
        out = blocked_attention(q, k, v * size)
        torch.testing.assert_close(
            out.double() / size, wanted, rtol=0, atol=1e-4
        )  # the rounding of scores, 70·2⁻²⁴


def test_pictures_alone_are_bit_for_bit_those_of_a_batch() -> None:
    q, k, v = operands(3, 4, 100, 77, 8)
    together = blocked_attention(q, k, v)
    for row in range(3):
        one = slice(row, row + 1)
        assert torch.equal(blocked_attention(q[one], k[one], v[one]), together[one])


def test_threads_that_share_the_blocks_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, since each computes with one thread of torch's, as here; also in inference mode, whose tensors a
    thread may change only in that mode, and where weights are trained."""
    q, k, v = operands(2, 3, 90, 77, 8)
    monkeypatch.setattr(blocks, "SCORES", 2**11)
    plain = alone(lambda: blocked_attention(q, k, v))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with torch.inference_mode():
            apart = blocked_attention(q, k, v)
        with torch.no_grad():
            trained = blocked_attention(q.requires_grad_(), k, v)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert torch.equal(apart, plain)
    assert torch.equal(trained, plain)


def test_what_it_costs() -> None:
    """The products' operations, of one more column, that of the sums; three operations a block; and memory for the
    results, the sums and the keys of some heads, never for all scores."""
    shape = batch, heads, queries, keys, width = (2, 8, 512, 512, 8)
    q, k, v = operands(*shape)
    blocked_attention(q, k, v)
    with FlopCounterMode(display=False) as counter:
        blocked_attention(q, k, v)
    assert counter.get_total_flops() == 2 * batch * heads * queries * keys * (2 * width + 1)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        blocked_attention(q, k, v)
    events = {event.key: event for event in profile.key_averages()}
    taken = sum(event.self_cpu_memory_usage for event in events.values() if event.self_cpu_memory_usage > 0)
    assert taken <= 4 * q.numel() + 4 * batch * heads * queries + 2**10  # and a few numbers of each picture
    some, Q = blocks.block_size(heads, queries, keys)
    count = batch * heads * queries // (some * Q)
    assert (events["aten::exp_"].count, events["aten::bmm"].count) == (count, 2 * count)
    assert events["aten::div_"].count == batch * heads // some


def test_a_buffer_is_kept_by_its_thread_and_type_and_grows() -> None:
    buffer = Buffer()
    with torch.inference_mode():
        first = buffer(100, torch.float32)
    assert buffer(40, torch.float32).data_ptr() == first.data_ptr()
    assert buffer(40, torch.float32).shape == (40,)
    buffer(40, torch.float32).fill_(1)  # also outside of the mode in which it was first asked for
    assert buffer(100, torch.float64).dtype == torch.float64
    with ThreadPoolExecutor() as other:
        assert other.submit(buffer, 100, torch.float32).result().data_ptr() != first.data_ptr()
    assert len(buffer(200, torch.float32)) == 200
