"""A trained network made ready to draw samples: in the type, the layout and the form that this device computes fastest.

The network itself is left as it is. `compute` chooses, after `gains` that were measured; `prepared` makes the copy;
`ready` keeps it while `snapshot` says that it is right; `walk` is what a walk calls.
"""

from diffloom.inference.compute import Compute, Precision, chosen_compute, settled
from diffloom.inference.ready import ReadyNetwork, ReadyNetworks
from diffloom.inference.walk import WalkNetwork

__all__ = [
    "Compute",
    "Precision",
    "ReadyNetwork",
    "ReadyNetworks",
    "WalkNetwork",
    "chosen_compute",
    "settled",
]
