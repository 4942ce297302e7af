"""Prompts that are asked for several times. Oracle: the transformer's own calls, and each prompt encoded by itself."""

import pytest
import torch

from diffloom.kinds import DataInfo, ImageInfo, Setting, SpaceInfo
from diffloom_text import TransformerText

SETTING = Setting(
    image=ImageInfo(height=8, width=8, channels=3), space=SpaceInfo(channels=3, height=8, width=8)
)
FIELDS = {"width": 12, "layers": 2, "heads": 2, "head_channels": 4, "length": 8, "vocabulary": 300}
CAPTIONS = ("red heart", "green heart", "red moon at night", "green moon at night")
PROMPTS = [CAPTIONS[place] for place in (0, 2, 0, 0, 2)]


@pytest.fixture
def encoder_and_rows():
    """The encoder in float64, and how many rows its transformer was given, call by call."""
    part = TransformerText(**FIELDS).learn("prompt", DataInfo(examples=4, captions={"prompt": CAPTIONS}))
    torch.manual_seed(0)
    encoder = part.build(setting=SETTING, codec=None).eval().double()
    rows = []
    encoder.transformer.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    return encoder, rows


@torch.no_grad()
def test_each_is_encoded_once(encoder_and_rows):
    encoder, rows = encoder_and_rows
    alone = torch.cat([encoder.encode([prompt]).tokens_BLD for prompt in PROMPTS])
    rows.clear()
    together = encoder.encode(PROMPTS)
    assert rows == [2]
    torch.testing.assert_close(together.tokens_BLD, alone, rtol=0, atol=1e-12)
    assert not torch.equal(together.tokens_BLD[0], together.tokens_BLD[1])
    rows.clear()
    assert encoder.null(7).tokens_BLD.shape[0] == 7
    assert rows == [1]


def test_training_sees_every_example(encoder_and_rows):
    """So that a step does not depend on which examples stand side by side."""
    encoder, rows = encoder_and_rows
    encoder.encode(PROMPTS).tokens_BLD.sum().backward()
    assert rows == [5]
    assert encoder.transformer.entries.weight.grad is not None
