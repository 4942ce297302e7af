"""What holds for every torch module a component builds: equal seeds, equal weights; and weights tell all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Barrier, BrokenBarrierError

import torch
from torch import Tensor, nn

from diffloom.testing.checks import expect


def expect_module(module: object, methods: tuple[str, ...]) -> None:
    """It is a torch module with these methods."""
    expect(isinstance(module, nn.Module), "build() to give a torch.nn.Module", type(module).__name__)
    missing = [name for name in methods if not callable(getattr(module, name, None))]
    expect(not missing, f"a module with {', '.join(methods)}", f"none called {', '.join(missing)}")


def expect_seeded(build: Callable[[], nn.Module]) -> None:
    """Under one torch seed build() gives the same weights twice."""
    torch.manual_seed(1)
    first = build().state_dict()
    torch.manual_seed(1)
    second = build().state_dict()
    expect(first.keys() == second.keys(), "the same weights' names twice", first.keys() ^ second.keys())
    other = [name for name, value in first.items() if not torch.equal(value, second[name])]
    expect(not other, "equal weights of two builds under one torch seed", f"others in {', '.join(other[:5])}")


def expect_state_tells_all(build: Callable[[], nn.Module], output: Callable[[nn.Module], Tensor]) -> None:
    """A module that was given another's state_dict computes the same."""
    torch.manual_seed(1)
    saved = awake(build())
    torch.manual_seed(2)
    restored = build().eval()
    restored.load_state_dict(saved.state_dict())
    same = torch.equal(output(saved), output(restored))
    expect(
        same, "equal outputs after load_state_dict", "others: the module keeps something its state_dict lacks"
    )


def awake(module: nn.Module, *, seed: int = 3) -> nn.Module:
    """The module in evaluation mode with every weight disturbed: zero-initialised layers pass signals on."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            fan_in = max(parameter[0].numel(), 1) if parameter.dim() > 1 else 100
            parameter.add_((noise / fan_in**0.5).to(parameter.dtype))
    return module.eval()


@contextmanager
def in_step(module: nn.Module, *, threads: int) -> Iterator[None]:
    """Within it, so many threads that call the module wait for each other before each of its parts."""
    barrier = Barrier(threads)

    def wait(*_: object) -> None:
        with suppress(BrokenBarrierError):  # one that calls other parts than the rest goes on alone
            barrier.wait(timeout=10)

    hooks = [part.register_forward_pre_hook(wait) for part in module.modules() if part is not module]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
