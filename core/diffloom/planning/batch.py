"""How the memory of sampling grows with the batch, foreseen without computing."""

from __future__ import annotations

from diffloom.planning.hollow import Hollow
from diffloom.planning.live_bytes import LiveBytes
from diffloom.planning.model import hollow_pipeline
from diffloom.planning.rehearsal import tensors_of
from diffloom.planning.walk import walked
from diffloom.sampling import SamplingPlan


def bytes_of_batches(plan: SamplingPlan) -> tuple[int, int]:
    """What a batch takes beside the weights: bytes that none is without, and those of each further sample.

    Sizes grow linearly: every operation has the batch as an axis of all that it makes anew.
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

    one, two = beside_weights(1), beside_weights(2)
    return max(0, 2 * one - two), two - one
