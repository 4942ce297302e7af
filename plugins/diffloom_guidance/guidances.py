"""The guidances a YAML file can name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.kinds import Guidance

if TYPE_CHECKING:
    from diffloom_guidance.classifier_free import ClassifierFree


class ClassifierFreeGuidance(Guidance):
    """Classifier-free guidance (Ho & Salimans 2022): u + scale·(c − u), in one batched call."""

    name = "classifier_free"

    def build(self) -> ClassifierFree:
        """The guided denoiser."""
        from diffloom_guidance.classifier_free import ClassifierFree

        return ClassifierFree(scale=self.scale)
