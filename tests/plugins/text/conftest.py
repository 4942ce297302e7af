"""diffusers' `LDMBertModel` with random weights, and ours that hold them."""

import importlib

import pytest
import torch

from diffloom_clip.library import open_clip

SMALL = {
    "vocab_size": 50,
    "max_position_embeddings": 12,
    "encoder_layers": 3,
    "encoder_ffn_dim": 4 * 24,
    "encoder_attention_heads": 5,
    "head_dim": 8,
    "d_model": 24,
    "dropout": 0.0,
    "attn_implementation": "eager",
}
"""Heads of 5 · 8 = 40 channels in a network 24 wide: the two differ, as in the published one."""


@pytest.fixture(scope="session")
def ldm_bert():
    """Their module; behind open_clip's plugin, which gets by a torchvision without its operators."""
    open_clip()
    return importlib.import_module("diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion")


@pytest.fixture(scope="session")
def theirs(ldm_bert):
    """Makes their network, every weight disturbed: theirs begin with biases of zero."""

    def make(**changes):
        torch.manual_seed(0)
        model = ldm_bert.LDMBertModel(ldm_bert.LDMBertConfig(**(SMALL | changes))).eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1 * torch.randn(weight.shape))
        return model

    return make


def ldm_names(model):
    """Their state dict as latent-diffusion's single file has it: x-transformers' names, in pairs of half-blocks."""
    halves = {
        "self_attn_layer_norm": (0, "0"),
        "self_attn.q_proj": (0, "1.to_q"),
        "self_attn.k_proj": (0, "1.to_k"),
        "self_attn.v_proj": (0, "1.to_v"),
        "self_attn.out_proj": (0, "1.to_out"),
        "final_layer_norm": (1, "0"),
        "fc1": (1, "1.net.0.0"),
        "fc2": (1, "1.net.2"),
    }
    outside = {
        "model.embed_tokens": "transformer.token_emb",
        "model.embed_positions": "transformer.pos_emb.emb",
        "model.layer_norm": "transformer.norm",
        "to_logits": "transformer.to_logits",
    }
    named = {}
    for name, tensor in model.state_dict().items():
        layer, _, leaf = name.rpartition(".")
        if layer in outside:
            named[f"{outside[layer]}.{leaf}"] = tensor
            continue
        index, _, inner = layer.removeprefix("model.layers.").partition(".")
        half, place = halves[inner]
        named[f"transformer.attn_layers.layers.{2 * int(index) + half}.{place}.{leaf}"] = tensor
    return named


@pytest.fixture(scope="session")
def as_ldm():
    """Their state dict under latent-diffusion's names."""
    return ldm_names
