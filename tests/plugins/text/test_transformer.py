"""The text transformer. Oracle: diffusers' `LDMBertModel` with the same random weights, and its parameters counted."""

import pytest
import torch

from diffloom.bridge import AmbiguousError, Foreign, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom_text import TextTransformer, TransformerText
from diffloom_text.bridges import DiffusersText, LDMText

TOLERANCE = 1e-5
"""Outputs are normalised to about 1; sums are taken in another order in three layers of float32."""


def foreign(tensors, **fields):
    return Foreign(MemoryTensors(tensors, "weights.ckpt"), **fields)


def outputs(model, module):
    ids_BL = torch.randint(0, 50, (4, 12), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return module.eval().transformer(ids_BL), model(ids_BL)[0]


def expect_equal(ours, wanted):
    assert ours.shape == wanted.shape
    assert (ours - wanted).abs().max() / wanted.abs().max() < TOLERANCE


class TestWeights:
    def test_diffusers(self, theirs):
        model, bridge = theirs(), DiffusersText()
        given = foreign(model.state_dict(), config=model.config.to_dict())
        inferred = bridge.infer(given)
        assert inferred.part == TransformerText(
            width=24, layers=3, heads=5, head_channels=8, length=12, vocabulary=50
        )
        module = inferred.build()
        fill(module, given.tensors, bridge)
        expect_equal(*outputs(model, module))

    def test_latent_diffusion(self, theirs, as_ldm):
        model, bridge = theirs(), LDMText()
        given = foreign(as_ldm(model), assume={"head_channels": "8"})
        module = bridge.infer(given).build()
        fill(module, given.tensors, bridge)
        expect_equal(*outputs(model, module))

    @pytest.mark.parametrize("bridge", [DiffusersText(), LDMText()])
    def test_there_and_back_is_bit_exact(self, theirs, as_ldm, bridge):
        """But for the projection to the vocabulary, which neither program trains or calls."""
        model = theirs()
        weights = as_ldm(model) if bridge.format == "ldm" else model.state_dict()
        given = foreign(weights, assume={"head_channels": "8"})
        module = bridge.infer(given).build()
        fill(module, given.tensors, bridge)
        back = theirs_of(module, bridge)
        assert weights.keys() - back.keys() == {name for name in weights if "to_logits." in name}
        assert all(torch.equal(weights[name], tensor) for name, tensor in back.items())

    def test_theirs_opens_what_is_written(self, theirs, ldm_bert):
        model, bridge = theirs(), DiffusersText()
        given = foreign(model.state_dict(), config=model.config.to_dict())
        inferred = bridge.infer(given)
        module = inferred.build()
        fill(module, given.tensors, bridge)
        described = ldm_bert.LDMBertConfig(**bridge.config(inferred), attn_implementation="eager")
        written = ldm_bert.LDMBertModel(described).eval()
        missing, unexpected = written.load_state_dict(theirs_of(module, bridge), strict=False)
        assert sorted(missing) == ["to_logits.bias", "to_logits.weight"]
        assert unexpected == []
        expect_equal(*outputs(written, module))

    @pytest.mark.parametrize("spoil", ["missing", "extra", "misshapen"])
    @pytest.mark.parametrize("bridge", [DiffusersText(), LDMText()])
    def test_one_wrong_tensor_is_refused(self, theirs, as_ldm, bridge, spoil):
        model = theirs()
        weights = dict(as_ldm(model) if bridge.format == "ldm" else model.state_dict())
        module = bridge.infer(foreign(weights, assume={"head_channels": "8"})).build()
        name = "transformer.norm.weight" if bridge.format == "ldm" else "model.layer_norm.weight"
        if spoil == "missing":
            del weights[name]
        elif spoil == "extra":
            weights["transformer.rotary.inv_freq"] = torch.zeros(3)
        else:
            weights[name] = torch.zeros(25)
        with pytest.raises(CheckpointError, match="nothing was loaded"):
            fill(module, MemoryTensors(weights), bridge)


class TestInference:
    def test_other_networks_are_not_claimed(self):
        for bridge in TransformerText.bridges():
            assert bridge.infer(foreign({"embedding.weight": torch.zeros(3, 4)})) is None

    def test_heads_are_asked_for_where_nothing_says(self, theirs, as_ldm):
        weights = as_ldm(theirs(head_dim=64))  # 5 · 64 = 320 channels
        with pytest.raises(AmbiguousError) as caught:
            LDMText().infer(foreign(weights))
        assert "weights.ckpt: 320 channels of attention do not say how many heads share them" in str(
            caught.value
        )
        assert "--assume head_channels=64: 5 heads of 64" in str(caught.value)
        for answer, message in (
            ("7", "no heads of 7"),
            ("0", "no heads of 0"),
            ("x", "expected a whole number"),
        ):
            with pytest.raises(CheckpointError, match=message):
                LDMText().infer(foreign(weights, assume={"head_channels": answer}))

    def test_the_published_heads_are_known(self, theirs, as_ldm):
        weights = as_ldm(theirs(head_dim=64, encoder_attention_heads=8))
        inferred = LDMText().infer(foreign(weights))
        assert (inferred.part.heads, inferred.part.head_channels) == (8, 64)
        assert "8 heads of 64: latent-diffusion has no other" in inferred.told

    def test_another_activation_is_refused(self, theirs):
        model = theirs()
        config = model.config.to_dict() | {"activation_function": "relu"}
        with pytest.raises(CheckpointError, match=r"weights\.ckpt: its activation is 'relu'"):
            DiffusersText().infer(foreign(model.state_dict(), config=config))


def test_the_published_network_has_as_many_parameters(ldm_bert):
    with torch.device("meta"):
        ours = TextTransformer(vocabulary=30522, length=77, width=1280, layers=32, heads=8, head_channels=64)
        theirs = ldm_bert.LDMBertModel(ldm_bert.LDMBertConfig())
    unused = sum(weight.numel() for weight in theirs.to_logits.parameters())
    wanted = sum(weight.numel() for weight in theirs.parameters()) - unused
    assert sum(weight.numel() for weight in ours.parameters()) == wanted == 542_895_360


@pytest.mark.parametrize("real", [1, 5, 11])
def test_what_is_masked_changes_nothing(real):
    """A law: real tokens come out as if the others were not there."""
    torch.manual_seed(0)
    model = TextTransformer(vocabulary=50, length=12, width=24, layers=2, heads=3, head_channels=8).double()
    ids_BL = torch.randint(0, 50, (2, 12))
    mask_BL = torch.arange(12).expand(2, 12) < real
    alone, masked = model(ids_BL[:, :real]), model(ids_BL, mask_BL)[:, :real]
    assert torch.allclose(alone, masked, atol=1e-12, rtol=0)
    assert not torch.allclose(alone, model(ids_BL)[:, :real], atol=1e-3)
