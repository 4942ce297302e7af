"""How the memory of sampling grows with the batch, foreseen without computing."""

from __future__ import annotations

from diffloom.planning.hollow import Hollow
from diffloom.planning.live_bytes import LiveBytes
from diffloom.planning.model import hollow_pipeline
from diffloom.planning.rehearsal import tensors_of
from diffloom.planning.walk import walked
from diffloom.sampling import SamplingPlan


def bytes_of_batches(plan: SamplingPlan, *, most: int) -> tuple[int, int]:
    """What a batch of up to `most` takes beside the weights: bytes that none is without, and those of each sample.

    Every operation has the batch as an axis of all that it makes anew, so that at any moment memory grows linearly.
    Which moment is the worst may change with the batch, that at which the weights are made ready or one of the walk:
    the line from one sample to the most is never below what is taken.
    """
    pipeline = plan.pipeline
    hollow = Hollow(pipeline.device)
    document = pipeline.document.model_copy(update={"sampling": next(plan.batches(1)).section})
    model = hollow_pipeline(document, hollow, registry=pipeline.registry)
    conditions = {name: values[0] for name, values in plan.raw.items()}

    def beside_weights(count: int) -> int:
        live = LiveBytes(hollow.device)
        live.name("weights", tensors_of(model.module))
        memory = walked(model, count=count, conditions=conditions, live=live).memory
        return sum(size for kind, size in memory.items() if kind != "weights")

    one, all_of_them = beside_weights(1), beside_weights(max(2, most))
    each = (all_of_them - one) // (max(2, most) - 1)
    return max(0, one - each), each
