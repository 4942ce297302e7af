"""How often a prompt is read when many batches are drawn. Oracle: counted rows of the tower."""

from __future__ import annotations

import pytest
import torch

from diffloom.condition import Condition
from diffloom.conditioning import Conditioning
from diffloom.kinds import ImageInfo, Setting, SpaceInfo
from diffloom_clip import ClipEncoder, ClipText

SMALL = {"width": 16, "heads": 2, "layers": 2, "embed_dim": 12, "context_length": 9}
SETTING = Setting(image=ImageInfo(8, 8, 3), space=SpaceInfo(3, 8, 8))
CPU = torch.device("cpu")


class Counted:
    """The conditioning of a model with prompts, which keeps 3, and how many rows its tower has read."""

    def __init__(self) -> None:
        config = ClipText(encoders=(ClipEncoder(architecture=SMALL),), remembered=3, dropout=0.1)
        torch.manual_seed(0)
        self.encoder = config.build(setting=SETTING, codec=None).eval()
        self.conditioning = Conditioning({"prompt": config}, {"prompt": self.encoder}, SETTING)
        self.rows = 0
        self.encoder.towers[0].register_forward_pre_hook(self._count)

    def _count(self, _: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        self.rows += len(args[0])

    def encoded(self, *prompts: str | None) -> Condition:
        return self.conditioning.encode({"prompt": prompts}, device=CPU)

    def opposite(self, *negative: str) -> Condition:
        given = {"prompt": negative} if negative else {}
        return self.conditioning.opposite({"prompt": ["a"] * 2}, given, device=CPU)


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_what_all_pictures_are_given_leaves_the_null_condition_unread(counted: Counted) -> None:
    counted.encoded("a", "a")
    assert counted.rows == 1
    mixed = counted.encoded("a", None)
    assert counted.rows == 2
    assert mixed.tokens_BLD is not None
    assert torch.equal(
        mixed.tokens_BLD, Condition.stack([counted.encoded("a"), counted.encoded(None)]).tokens_BLD
    )
    assert counted.rows == 2


def test_batches_of_the_same_prompts_read_them_once(counted: Counted) -> None:
    """With the null condition on the other side of guidance, and with a negative prompt there."""
    for _ in range(4):
        counted.encoded("a", "b")
        counted.opposite()
    assert counted.rows == 3
    for _ in range(4):
        counted.encoded("a", "a")
        counted.opposite("ugly", "ugly")
    assert counted.rows == 4


def test_many_prompts_stay_within_what_is_kept(counted: Counted) -> None:
    """Each is new, and the null condition, which every batch asks for, is read once."""
    for batch in range(10):
        counted.encoded(f"{batch} a", f"{batch} b")
        counted.opposite()
        assert len(counted.encoder.memory._kept) <= 3
    assert counted.rows == 2 * 10 + 1
