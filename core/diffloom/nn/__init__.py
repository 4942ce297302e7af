"""Building blocks for the authors of networks, ours included.

Every block that works on a picture is called the same way, `block(x_BCHW, signal)`, and reads of the
`Signal` what it needs. So a skeleton such as a U-Net's holds blocks without knowing which they are: another
way to condition, attend or change resolution is another block, never a flag of these.
"""

from diffloom.available import available_bytes
from diffloom.heap import give_back
from diffloom.nn.attention import AttentionKernel, SelfAttention, torch_attention
from diffloom.nn.block import Block, blocks
from diffloom.nn.deep import Deep
from diffloom.nn.dropout import Dropout, key_dropout, unkeyed_dropout
from diffloom.nn.folding import doubled, doubling, is_plain_conv
from diffloom.nn.geglu import GEGLU
from diffloom.nn.initial import zeroed
from diffloom.nn.kernels import Attention, attend_with, attending, identity_attention, self_attentions
from diffloom.nn.packed_linear import ready_linear
from diffloom.nn.preparation import prepare_training
from diffloom.nn.projections import remembered_projections, the_time
from diffloom.nn.ready_conv import ReadyConv2d, ready_conv
from diffloom.nn.resample import Downsample, Upsample, halved
from diffloom.nn.residual import ResidualBlock, ScaleShiftResidualBlock
from diffloom.nn.shares import in_shares, shares
from diffloom.nn.signal import NO_SIGNAL, Signal
from diffloom.nn.stack import Stack
from diffloom.nn.timestep import SinusoidalEmbedding, TimestepMLP
from diffloom.nn.token_attention import CrossAttention, TokenAttention
from diffloom.nn.transformer import SpatialTransformer, TransformerBlock

__all__ = [
    "GEGLU",
    "NO_SIGNAL",
    "Attention",
    "AttentionKernel",
    "Block",
    "CrossAttention",
    "Deep",
    "Downsample",
    "Dropout",
    "ReadyConv2d",
    "ResidualBlock",
    "ScaleShiftResidualBlock",
    "SelfAttention",
    "Signal",
    "SinusoidalEmbedding",
    "SpatialTransformer",
    "Stack",
    "TimestepMLP",
    "TokenAttention",
    "TransformerBlock",
    "Upsample",
    "attend_with",
    "attending",
    "available_bytes",
    "blocks",
    "doubled",
    "doubling",
    "give_back",
    "halved",
    "identity_attention",
    "in_shares",
    "is_plain_conv",
    "key_dropout",
    "prepare_training",
    "ready_conv",
    "ready_linear",
    "remembered_projections",
    "self_attentions",
    "shares",
    "the_time",
    "torch_attention",
    "unkeyed_dropout",
    "zeroed",
]
