"""What is measured: each module has `cases(device)`, which builds both sides and yields what to compare."""

ORDER = (
    "sampling_step",
    "train",
    "latent_step",
    "decode",
    "decode_tiles",
    "good_picture",
    "solver",
    "startup",
    "large",
    "whole_call",
    "encode",
    "text",
    "caching",
    "compiled_step",
    "attention",
)
"""All of them, as they are measured and shown: first what was asked for."""
APART = ("decode_tiles", "compiled_step")
"""What is measured where it is named, and on a GPU: on a CPU these two take longer than all the rest."""
