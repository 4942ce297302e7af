"""A trained network made ready to draw samples: in the type, the layout and the form that this device computes fastest.

The network itself is left as it is. `compute` chooses, `prepared` makes the copy, `ready` keeps it while it is right.
"""

from diffloom.inference.compute import Compute, chosen_compute
from diffloom.inference.ready import ReadyNetwork, ReadyNetworks

__all__ = ["Compute", "ReadyNetwork", "ReadyNetworks", "chosen_compute"]
