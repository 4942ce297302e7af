"""What a configuration will take: weights, shapes, calls, memory, time in steps, disk. Told before training."""

from diffloom.planning.figures import Plan
from diffloom.planning.plan import plan

__all__ = ["Plan", "plan"]
