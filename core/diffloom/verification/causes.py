"""Why two runs differ, most often, by when and where they first do."""

from __future__ import annotations

NOT_KEYED = (
    "a random number that comes from elsewhere than `rng`, `draws` or torch's generator (Python's `random`, "
    "`numpy.random`, the clock, the process), or an order that is not the same in each process (of a folder, of a set)"
)
KERNELS = (
    "kernels that do not add up in the same order each time: on CUDA call torch.use_deterministic_algorithms(True) in "
    "a file given with -p, and set CUBLAS_WORKSPACE_CONFIG=:4096:8"
)
NOT_RESTORED = {
    "step": "the step is not restored",
    "frozen": "weights that training leaves alone begin elsewhere in each process, or are changed after all",
    "weights": "the weights are not restored: a module's load_state_dict leaves something out",
    "optimizer": "the optimiser is not restored: its load_state_dict leaves something out, or rounds it",
    "meter": "the sums between two rows of metrics are not restored",
    "scaler": "the scale of fp16's loss is not restored",
    "beside": "what is trained beside the model is not restored",
}
UNSAVED = (
    "something that the next step needs is in no checkpoint: a random number not keyed by `draws` or the step, a "
    "counter or buffer of a module outside its state_dict(), or an optimiser whose state_dict() leaves something out"
)


def likely_cause(stage: str, name: str) -> str:
    """A sentence on the first difference: in which stage of a trial, and in what."""
    if stage == "before":
        told = f"nothing was killed yet, so these runs are not reproducible at all: {NOT_KEYED}"
        return told if name == "examples" else f"{told}; or {KERNELS}"
    if stage == "restored":
        if name.startswith("ema"):
            return f"the average `{name}` is not restored"
        return NOT_RESTORED.get(name, f"the group `{name}` is not restored")
    if name == "examples":
        return (
            "the place in the data is not gone on from: which example comes when depends on more than its position "
            "(when the process started, how many were read before), or a stream's state is in no checkpoint"
        )
    if name == "metrics.jsonl":
        return f"{UNSAVED}; or the sums between two rows are in no checkpoint"
    return UNSAVED
