"""Parts whose weights may begin as those of a file."""

from __future__ import annotations

from diffloom.kinds.component import Section


class Weighted(Section):
    """Mixed into a component, or a section inside one, that builds a network.

    The file is read when a model is built, not when a checkpoint of it is loaded: that holds all weights itself.
    """

    weights: str | None = None
    """Where its weights begin: a run folder or checkpoint of diffloom, a file or folder that `diffloom convert` reads,
    or `hf://owner/name`; null begins with random ones."""

    def located(self) -> str | None:
        """What is to be read: `weights`, or the file behind it, where that is a name which a library downloads."""
        return self.weights
