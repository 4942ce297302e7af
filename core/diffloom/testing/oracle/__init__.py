"""The exact denoiser of a Gaussian mixture, as an ordinary backbone: any configuration runs, with a known answer.

    backbone: {type: oracle, modes: 2, std: 0.1}

needs no training, and `pipe.backbone.mixture` is what its samples should be distributed as. The same mixture in
Python denoises without a network in between, in float64:

    mixture = Oracle(means=((0.5, -0.5),)).mixture(space=space, condition=ConditionInfo())
    walked(sampler, x, levels, mixture.denoise)

The names are loaded on first use: registering the component does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from diffloom.testing.oracle.component import Oracle
    from diffloom.testing.oracle.flow import carried
    from diffloom.testing.oracle.mixture import Belief, GaussianMixture
    from diffloom.testing.oracle.network import OracleNetwork
    from diffloom.testing.oracle.tilted import Tilted

__all__ = ["Belief", "GaussianMixture", "Oracle", "OracleNetwork", "Tilted", "carried"]

__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "component": ["Oracle"],
        "flow": ["carried"],
        "mixture": ["Belief", "GaussianMixture"],
        "network": ["OracleNetwork"],
        "tilted": ["Tilted"],
    },
)
