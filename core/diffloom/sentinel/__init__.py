"""What watches over a run and names the causes of what goes wrong."""

from diffloom.sentinel.finding import Finding
from diffloom.sentinel.sentinel import Watch

__all__ = ["Finding", "Watch"]
