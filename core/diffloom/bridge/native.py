"""Our own checkpoints as a source: which of their tensors are whose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from diffloom import config
from diffloom.assembly import assemble
from diffloom.bridge.empty import empty_weights
from diffloom.bridge.model import Seat
from diffloom.checkpoint import Checkpoint, open_checkpoint
from diffloom.checkpoint.header import KEY, is_sharded
from diffloom.checkpoint.stored import PICKLE_SUFFIXES, is_pickle, read_stored
from diffloom.config import Document
from diffloom.config.choice import AnyDocument
from diffloom.registry import Registry
from diffloom.training.run_folder import RunFolder, checkpoint_of
from diffloom.weighted_parts import components_of, weighted_parts

FOREIGN = {".json", ".safetensors", *PICKLE_SUFFIXES}
"""What the folders of other programs have in them."""


@dataclass(frozen=True)
class NativePart:
    """One network of a checkpoint of ours."""

    seat: Seat
    part: object
    """The component, or the section of one, that built it."""
    module: nn.Module
    """It, without its weights."""
    prefix: str
    """What its tensors' names begin with in the checkpoint."""

    def own(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The part's tensors, of all of the checkpoint's."""
        return {n.removeprefix(self.prefix): t for n, t in tensors.items() if n.startswith(self.prefix)}


def is_native(path: Path) -> bool:
    """Whether a path is a run or a checkpoint of ours. What has nothing of another program would have been one."""
    if path.is_dir():
        if is_sharded(path):
            return True
        return RunFolder(path).is_begun or not any(item.suffix in FOREIGN for item in path.iterdir())
    return not path.exists() or (not is_pickle(path) and KEY in read_stored(path).metadata)


def open_native(path: Path, registry: Registry) -> tuple[Checkpoint, AnyDocument]:
    """The checkpoint of a run or a file, and what it is of. Raises CheckpointError."""
    checkpoint = open_checkpoint(checkpoint_of(path))
    return checkpoint, config.parse(checkpoint.config, name=str(checkpoint.path), registry=registry).document


def native_parts(document: AnyDocument, registry: Registry) -> Iterator[NativePart]:
    """Every network of a document, built without weights."""
    with empty_weights():
        if isinstance(document, Document):
            root: nn.Module = assemble(document, registry=registry).module
        else:
            root = nn.ModuleDict({"space": document.space.build(image=document.image.info)})
    names = {module: name for name, module in root.named_modules()}
    for path, component in components_of(document).items():
        for index, (part, module) in enumerate(weighted_parts(component, root.get_submodule(path))):
            if any(True for _ in module.state_dict()):
                yield NativePart(Seat(path, index), part, module, f"{names[module]}.")
