"""Rows read together. Oracles: the same rows read alone, bit for bit; open_clip's own modules; counted products."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from diffloom_clip import ClipEncoder, ClipTower, alike
from diffloom_clip.in_place import Blocks, computes_in_place
from diffloom_clip.tower import Reading

SMALL = {"width": 16, "heads": 2, "layers": 3, "embed_dim": 12, "context_length": 9}
LARGE = {"width": 768, "heads": 12, "layers": 2, "embed_dim": 768, "quick_gelu": True}
"""Stable Diffusion 1.x's, but for its depth."""


def tower(architecture: dict[str, Any], **fields: Any) -> ClipTower:
    torch.manual_seed(0)
    built = ClipEncoder.model_validate({"architecture": architecture, "pooled": True, **fields}).build()
    for weight in built.parameters():
        weight.data += 0.1 * torch.randn_like(weight) * weight.std().nan_to_num(1).clamp(min=0.1)
    return built.eval().requires_grad_(False)


def ids(rows: int, length: int) -> Tensor:
    """Texts of any length between the start and the end, filled up with zeros."""
    generator = torch.Generator().manual_seed(rows)
    ids_NL = torch.randint(1, 49_000, (rows, length), generator=generator)
    for row_L, end in zip(
        ids_NL, torch.randint(1, length, (rows,), generator=generator).tolist(), strict=True
    ):
        row_L[0], row_L[end], row_L[end + 1 :] = 49_406, 49_407, 0
    return ids_NL


@pytest.fixture
def no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def same_bits(one: ClipTower, rows_NL: Tensor) -> bool:
    """Whether every row is read as it is alone, in each batch that begins with the first or ends with the last."""
    alone = [one(row_1L) for row_1L in rows_NL.split(1)]
    count = len(rows_NL)
    parts = [(0, end) for end in range(1, count + 1)] + [(begin, count) for begin in range(1, count)]
    return all(
        torch.equal(slot, torch.cat(wanted[begin:end]))
        for begin, end in parts
        for slot, wanted in zip(one.rows(rows_NL[begin:end]), zip(*alone, strict=True), strict=True)
    )


def sizes_of(one: ClipTower, rows_NL: Tensor) -> tuple[list[list[int]], list[int]]:
    """How many rows go together: in each thread apart, and of all threads."""
    apart, together = one._alike.groups(one.text, rows_NL)
    return [[len(group_NL) for group_NL in part] for part in apart], [len(group_NL) for group_NL in together]


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rows_are_read_as_if_alone(dtype: torch.dtype) -> None:
    assert same_bits(tower(SMALL).to(dtype), ids(9, 9))


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("count", [1, 2])
def test_rows_of_a_published_width_are_read_as_if_alone(threads: Callable[[int], None], count: int) -> None:
    """Of one block, as all are alike, and with sums of 3072 terms."""
    threads(count)
    assert same_bits(tower({**LARGE, "layers": 1}), ids(9, 77)[[0, 3, 4, 5, 8]])


@pytest.mark.usefixtures("no_grad")
def test_where_a_row_would_come_out_otherwise_all_are_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library in which the last of several rows is rounded in another way."""

    class Uneven(Blocks):
        def advance(self, x_NLD: Tensor, block: nn.Module) -> None:
            super().advance(x_NLD, block)
            if len(x_NLD) > 1:
                x_NLD[-1] *= 1 + 1e-6

    monkeypatch.setattr(alike, "Blocks", Uneven)
    assert sizes_of(tower(SMALL), ids(9, 9)) == ([], [1] * 9)


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rows_that_threads_read_apart_are_read_as_if_alone(
    threads: Callable[[int], None], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is left over, and pooled vectors, whose projection depends on the number of threads."""
    monkeypatch.setattr(alike, "LEAST_APART", 1)
    threads(3)
    one = tower(SMALL).to(dtype)
    assert sizes_of(one, ids(8, 9))[0] == [[2]] * 3
    assert same_bits(one, ids(8, 9))


@pytest.mark.usefixtures("no_grad")
def test_a_published_width_is_read_apart_as_if_alone(threads: Callable[[int], None]) -> None:
    """4 and 4 rows, at the same time, each by a thread in which torch has no other."""
    threads(2)
    one, rows_NL = tower({**LARGE, "layers": 1}), ids(9, 77)
    assert sizes_of(one, rows_NL) == ([[4], [4]], [1])
    meeting, here = threading.Barrier(2), threading.current_thread()
    real, readers = one._in_place, []

    def met(ids_NL: Tensor) -> Reading:
        if threading.current_thread() is not here:
            meeting.wait(30)
        readers.append((len(ids_NL), torch.get_num_threads()))
        return real(ids_NL)

    one._in_place = met
    together = one.rows(rows_NL)
    assert readers == [(4, 1), (4, 1), (1, 2)]
    alone = Reading.stack([one(row_1L) for row_1L in rows_NL.split(1)])
    assert all(torch.equal(mine, wanted) for mine, wanted in zip(together, alone, strict=True))


@pytest.mark.usefixtures("no_grad")
def test_where_a_thread_would_read_otherwise_all_read_together(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that rounds in another way with one thread than with two."""

    class Uneven(Blocks):
        def advance(self, x_NLD: Tensor, block: nn.Module) -> None:
            super().advance(x_NLD, block)
            x_NLD *= 1 + 1e-6 * torch.get_num_threads()

    monkeypatch.setattr(alike, "Blocks", Uneven)
    threads(2)
    assert sizes_of(tower(SMALL), ids(8, 9)) == ([], [8])


@pytest.mark.usefixtures("no_grad")
def test_few_rows_are_read_by_all_threads_and_so_are_those_that_somebody_counts(
    threads: Callable[[int], None],
) -> None:
    threads(2)
    one = tower(SMALL)
    assert sizes_of(one, ids(7, 9)) == ([], [4, 2, 1])
    with Products() as products:
        assert sizes_of(one, ids(8, 9)) == ([], [8])
        one.rows(ids(8, 9))
    assert products.count > 0


@pytest.mark.usefixtures("no_grad")
def test_what_is_tried_is_tried_once_and_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    real = alike._tried
    monkeypatch.setattr(alike, "_tried", lambda text, size, by: (tried.append(size), real(text, size, by))[1])
    one, state = tower(SMALL), torch.get_rng_state()
    for _ in range(2):
        one.rows(ids(15, 9))
    assert sorted(set(tried)) == sorted(tried)
    assert tried[0] == 8
    assert torch.equal(torch.get_rng_state(), state)
    one.double().rows(ids(9, 9))
    assert tried.count(8) == 2


ARCHITECTURES = {
    "quick": {"quick_gelu": True},
    "gelu": {},
    "tanh": {"gelu_tanh": True},
    "full": {"no_causal_mask": True},
    "projection with a bias": {"proj_bias": True},
    "no projection": {"embed_dim": None},
    "pooled first": {"pool_type": "first"},
    "pooled at an end": {"pool_type": "eos", "eos_id": 49_407},
    "wide": {"width": 256, "mlp_ratio": 5.0},
}


@pytest.mark.parametrize("change", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
@pytest.mark.parametrize(
    "reads", [("last", True), ("last", False), ("penultimate", True), ("penultimate", False)]
)
def test_in_place_is_what_open_clip_computes(change: dict[str, Any], reads: tuple[str, bool]) -> None:
    """Oracle: the same modules, called by open_clip, which computes them where gradients are wanted."""
    layer, final_norm = reads
    one = tower({**SMALL, **change}, layer=layer, final_norm=final_norm)
    rows_NL = ids(3, 9)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        one.to(dtype)
        assert not computes_in_place(one.text)
        wanted = one(rows_NL)
        with torch.no_grad():
            assert computes_in_place(one.text)
            found = one(rows_NL)
        for mine, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("quick_gelu", [False, True])
def test_in_half_precision_it_errs_no_more_than_open_clip(quick_gelu: bool) -> None:
    """Oracle: float64. Sums into what is added to round once, where open_clip rounds the product first."""
    one, rows_NL = tower({**SMALL, "width": 64, "quick_gelu": quick_gelu}), ids(8, 9)
    exact, half = one.double()(rows_NL).tokens_NLD, one.bfloat16()
    with torch.enable_grad():
        theirs = half(rows_NL).tokens_NLD
    assert (half(rows_NL).tokens_NLD - exact).square().mean() < 1.2 * (theirs - exact).square().mean()


UNUSUAL = {
    "scaled": {"ls_init_value": 0.1},
    "with a class": {"embed_cls": True},
}


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("change", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_unusual_towers_are_read_by_open_clip_alone(change: dict[str, Any]) -> None:
    one, rows_NL = tower({**SMALL, **change}), ids(5, 9)
    assert not computes_in_place(one.text)
    assert same_bits(one, rows_NL)
    with torch.enable_grad():
        torch.testing.assert_close(
            one.rows(rows_NL).tokens_NLD, one(rows_NL).tokens_NLD, rtol=1e-5, atol=1e-5
        )


@pytest.mark.usefixtures("no_grad")
def test_who_looks_into_a_tower_sees_its_modules_called() -> None:
    one, seen = tower(SMALL), []
    wanted = one.rows(ids(2, 9)).tokens_NLD
    layer = one.text.transformer.resblocks[1].mlp.c_fc
    handle = layer.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    torch.testing.assert_close(one.rows(ids(2, 9)).tokens_NLD, wanted, rtol=1e-5, atol=1e-5)
    assert seen == [(1, 9, 64)] * 2
    handle.remove()
    one.text.transformer.resblocks[1].mlp.c_fc = nn.Sequential(layer)
    assert not computes_in_place(one.text)


class Products(TorchDispatchMode):
    """How many matrix products there were, and how many tensors they made anew."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self.made = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._overloadpacket in (torch.ops.aten.addmm, torch.ops.aten.mm, torch.ops.aten.bmm):
            self.count += 1
            self.made += "out" not in (kwargs or {})
        return func(*args, **(kwargs or {}))


@pytest.mark.usefixtures("no_grad")
def test_a_group_costs_the_products_of_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four for a block, into what is there; what is computed is in proportion to the rows."""
    monkeypatch.setattr(alike, "_tried", lambda text, size, threads: True)
    one, flops = tower(SMALL, pooled=False), []
    for rows in (1, 8):
        rows_NL = ids(rows, 9)
        with Products() as products, FlopCounterMode(display=False) as counter:
            one.rows(rows_NL)
        flops.append(counter.get_total_flops())
        assert (products.count, products.made) == (4 * 3, 0)
    assert flops[1] == 8 * flops[0] > 0
