"""`auto`: who computes what. Oracles: torch's kernel; the laws of the kind; a network's own result before."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from diffloom.condition import Condition
from diffloom.nn import CrossAttention, SelfAttention, TokenAttention, attend_with, torch_attention
from diffloom.testing import check_component
from diffloom_attention import SDPA, Auto, Math, chosen, rules
from diffloom_attention.chosen import chosen_attention, opaque_attention


def operands(*shape: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """q, k and v of B, N, L, M and D."""
    batch, heads, queries, keys, width = shape
    draw = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, heads, length, width, generator=draw).to(dtype) for length in (queries, keys, keys)
    ]


NARROW, TEXT, WIDE, SMALL, EVEN = (
    (1, 8, 1024, 1024, 8),
    (1, 4, 256, 77, 40),
    (1, 4, 128, 256, 40),
    (1, 2, 16, 77, 8),
    (1, 4, 256, 80, 40),
)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who was asked, in order."""
    asked: list[str] = []

    def watch(name: str) -> None:
        own = getattr(chosen, name)

        def watched(*operands: Tensor, **said: object) -> Tensor:
            asked.append(name)
            out: Tensor = own(*operands, **said)
            return out

        monkeypatch.setattr(chosen, name, watched)

    for name in ("blocked_attention", "padded_attention", "torch_attention"):
        watch(name)
    return asked


@pytest.mark.parametrize("kernel", [Auto, SDPA, Math])
def test_the_laws(kernel: type) -> None:
    assert check_component(kernel) == []


@pytest.mark.parametrize(
    "least",
    [("LEAST_IN_BLOCKS",), ("LEAST_FILLED", "LEAST_REST")],
    ids=["blocks", "filled"],
)
def test_the_laws_hold_of_either_form_for_all_it_may_compute(
    least: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in least:
        monkeypatch.setattr(rules, name, 1)
    monkeypatch.setattr(rules, "NARROW", 2**10)
    monkeypatch.setattr(rules, "FEW_KEYS", 2**10)
    assert check_component(Auto) == []


@pytest.mark.parametrize(
    ("shape", "who"),
    [
        (NARROW, "blocked_attention"),
        (TEXT, "padded_attention"),
        (WIDE, "torch_attention"),
        (SMALL, "torch_attention"),
        (EVEN, "torch_attention"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_each_where_it_was_measured_to_be_faster(
    computed: list[str], shape: tuple[int, ...], who: str, dtype: torch.dtype
) -> None:
    q, k, v = operands(*shape, dtype=dtype)
    out = chosen_attention(q, k, v)
    assert computed == [who]
    wanted = torch_attention(q.double(), k.double(), v.double())
    within = {torch.float32: 2e-6, torch.bfloat16: 0.02, torch.float16: 0.002}[dtype]
    torch.testing.assert_close(out.double(), wanted, rtol=0, atol=within)


def test_gradients_float64_and_numbers_that_are_not_there_are_torchs(computed: list[str]) -> None:
    for index in range(3):
        asking = operands(*NARROW)
        asking[index].requires_grad_()
        assert chosen_attention(*asking).requires_grad
    for shape in (NARROW, TEXT):
        chosen_attention(*operands(*shape, dtype=torch.float64))
        chosen_attention(*(operand.to("meta") for operand in operands(*shape)))
    with FakeTensorMode():
        chosen_attention(*operands(*NARROW))
    assert computed == ["torch_attention"] * 8
    with torch.no_grad():
        chosen_attention(*asking)
    assert computed[8:] == ["blocked_attention"]


def test_few_keys_are_filled_up_in_training_and_in_plans(computed: list[str]) -> None:
    asking = [operand.requires_grad_() for operand in operands(*TEXT)]
    assert chosen_attention(*asking).requires_grad
    with FakeTensorMode():
        chosen_attention(*operands(*TEXT))
    assert computed == ["padded_attention"] * 2


@pytest.mark.parametrize("shape", [NARROW, TEXT])
def test_compiled_it_is_one_graph(shape: tuple[int, ...]) -> None:
    """Blocks as one operation, without a compiler of C++; the layout, too, is the one that the graph was told."""
    q, k, v = operands(*shape)
    mask = torch.arange(shape[3]).expand(1, 1, 1, -1) < 50
    compiled = torch.compile(chosen_attention, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        out, plain = compiled(q, k, v, mask_BNLM=mask), chosen_attention(q, k, v, mask_BNLM=mask)
    assert torch.equal(out, plain)
    assert out.stride() == plain.stride()
    torch.library.opcheck(opaque_attention, (q, k, v, mask))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_it_is_what_it_is_without(dtype: torch.dtype) -> None:
    """Sums and products stay in float32."""
    q, k, v = operands(*NARROW)
    plain = chosen_attention(q, k, v)
    with torch.autocast("cpu", dtype):
        assert torch.equal(chosen_attention(q, k, v), plain)


@pytest.mark.parametrize("masked", [False, True])
def test_networks_attend_as_they_did(computed: list[str], masked: bool) -> None:
    """Every block that attends, with the kernel that assembly gives it; memory of a condition included."""
    torch.manual_seed(0)
    tokens, mask = torch.randn(2, 77, 12), torch.arange(77).expand(2, 77) < torch.tensor([[20], [77]])
    condition = Condition(tokens_BLD=tokens, mask_BL=mask if masked else None)
    cross = CrossAttention(channels=32, token_width=12, heads=4)
    prepared = Condition(tokens_BLD=tokens, mask_BL=condition.mask_BL, memory={cross: cross.remember(tokens)})
    of_pixels, of_tokens = SelfAttention(channels=32, heads=4), TokenAttention(channels=32, heads=4)
    torch.nn.init.normal_(of_pixels.out.weight)
    x_BCHW, x_BLC = torch.randn(2, 32, 40, 40), torch.randn(2, 1600, 32)
    with torch.no_grad():
        before = of_pixels(x_BCHW), of_tokens(x_BLC), cross(x_BLC, condition), cross(x_BLC, prepared)
        attend_with(torch.nn.ModuleList([of_pixels, of_tokens, cross]), Auto().build())
        after = of_pixels(x_BCHW), of_tokens(x_BLC), cross(x_BLC, condition), cross(x_BLC, prepared)
    assert computed == ["blocked_attention"] * 2 + ["padded_attention"] * 2
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old, rtol=0, atol=5e-6)
