"""Component `classifier`. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from diffloom.kinds import ConditionInfo, SpaceInfo, SteeredGuidance
from diffloom_classifier.shape import EncoderShape

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from diffloom_classifier.encoder_guide import EncoderGuide


class ClassifierGuidance(EncoderShape, SteeredGuidance):
    """Classifier guidance (Dhariwal & Nichol 2021): up the gradient of log p(label | x_t) of a second network.

    The paper's scale, guided-diffusion's `classifier_scale`, is this one less 1. The network is guided-diffusion's, and
    its files load. The defaults are those of `256x256_classifier.pt`; the other three have

    - 64 × 64: `channels: [128, 256, 384, 512]`, `blocks_per_level: 4`
    - 128 × 128: `channels: [128, 128, 256, 384, 512]`
    - 512 × 512: `channels: [64, 128, 128, 256, 256, 512, 512]`, `time_width: 128`

    It is shown x_t, and t as the model's own schedule counts it. Its file does not say on which noise it was trained,
    and nobody can check: that must have been this schedule's (guided-diffusion's is `linear`, of 1000 times), and its
    classes must be the model's, in their order. A sample without a label is not guided. No null condition is needed.
    diffloom does not train classifiers.
    """

    name = "classifier"
    equation: ClassVar[str] = "ε̂ is lower by σ·({scale} − 1)·∇ log p(label | x_t)"

    weights: str
    """The classifier's file or `hf://owner/name`, its tensors under guided-diffusion's names. It is read once."""
    pickle: bool = False
    """Whether `weights` may be a pickle, as a `.pt` is; nothing but tensors is read from it."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """Small networks for the kit's model and its three classes."""
        from diffloom_classifier.specimens import save_classifier

        shapes = (
            EncoderShape(
                classes=3,
                channels=(32, 64),
                blocks_per_level=1,
                attention_resolutions=(2,),
                head_channels=16,
            ),
            EncoderShape(
                classes=3,
                channels=(64,),
                blocks_per_level=1,
                attention_resolutions=(),
                pool="spatial_v2",
                embedding="add",
            ),
        )
        return tuple(
            cls(scale=3.0, weights=save_classifier(folder / f"{index}.safetensors", shape), **dict(shape))
            for index, shape in enumerate(shapes)
        )

    @property
    def compares(self) -> bool:
        return False

    def check(self, *, space: SpaceInfo, condition: ConditionInfo) -> None:
        if not condition.classes:
            raise ValueError(
                "a classifier guides by class ids, and the model's conditions have none; "
                "add a conditioner class_label, or take another guidance"
            )
        if condition.classes - 1 != self.classes:
            raise ValueError(
                f"the classifier tells {self.classes} classes apart, and the model has {condition.classes - 1}; "
                "set sampling.guidance.classes and take such a classifier"
            )
        self.attention_levels(space)

    def build(self) -> EncoderGuide:
        """The guidance, which reads its network when a walk begins. Raises CheckpointError then."""
        from diffloom_classifier.encoder_guide import EncoderGuide

        return EncoderGuide(
            shape=self.shape, weights=self.weights, pickle=self.pickle, strength=self.strength
        )
