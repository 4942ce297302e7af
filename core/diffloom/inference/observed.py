"""Networks that someone looks into: what they put there must go on seeing every call."""

from __future__ import annotations

from torch import nn

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_observed(network: nn.Module) -> bool:
    """Whether a module in it has a hook, or a method of its own in the place of its class's.

    Such a network draws samples as it is, without faster forms of its blocks, so that whoever put them there sees every
    call of the module that they know. Only where another precision is asked for by name does it compute in a copy, for
    which the same hooks are called.
    """
    return any(has_hooks(module) or own_methods(module) for module in network.modules())


def has_hooks(module: nn.Module) -> bool:
    """Whether something is called whenever the module is."""
    return any(getattr(module, hooks) for hooks in HOOKS)


def own_methods(module: nn.Module) -> list[str]:
    """The names of methods that were replaced in this very module."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and callable(getattr(type(module), name, None))
    ]
