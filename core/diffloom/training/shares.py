"""Writing a sharded checkpoint: each process its own shares, and all of it whole or not at all.

torch.distributed.checkpoint writes into a hidden folder; when every process is done, the main one writes the header
beside the shares, and renames the folder.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

import diffloom
from diffloom.checkpoint.digest import file_digest, tensors_digest
from diffloom.checkpoint.header import MANIFEST, Header
from diffloom.checkpoint.whole_file import UNFINISHED, synced
from diffloom.checkpoint.writing import unshared, unwritable
from diffloom.training.processes import Processes


def save_shares(
    path: Path, groups: Mapping[str, Mapping[str, Tensor]], *, step: int, config: str, processes: Processes
) -> None:
    """Write tensors, by group and name, with a header, into a folder; all processes take part.

    Raises CheckpointError when the disk is full or the folder cannot be written to; leaves nothing behind.
    """
    hidden = path.parent / f"{UNFINISHED}{path.name}"
    tensors = unshared(
        {
            f"{group}/{name}": tensor.detach().contiguous()
            for group, kept in groups.items()
            for name, tensor in kept.items()
        },
        memory=lambda tensor: _own(tensor).untyped_storage().data_ptr(),
    )
    try:
        with processes.together():
            try:
                if processes.is_main:
                    hidden.mkdir()
            except OSError as error:
                raise unwritable(path, error) from error
        failure = _write(hidden, tensors)
        with processes.together():
            if failure is not None:
                raise unwritable(path, failure) from failure
        files = dict(line.split(" ", 1)[::-1] for line in processes.listed(_files(hidden, processes.index)))
        shares = processes.listed(_shares(groups, is_main=processes.is_main))
        with processes.together():
            try:
                if processes.is_main:
                    header = Header(
                        step=step,
                        config=config,
                        version=diffloom.__version__,
                        digests={group: _joined(group, shares) for group in groups},
                        names=tuple(sorted(tensors)),
                        files=files,
                    )
                    (hidden / MANIFEST).write_text(header.to_json(), encoding="utf-8")
                    synced(hidden / MANIFEST)
                    synced(hidden)
                    hidden.rename(path)
                    synced(path.parent)
            except OSError as error:
                raise unwritable(path, error) from error
    finally:
        if processes.is_main:
            shutil.rmtree(hidden, ignore_errors=True)


def _write(hidden: Path, tensors: dict[str, Tensor]) -> BaseException | None:
    """Everyone's shares; returns what went wrong in any process, the same in each."""
    # Only where weights are sharded: older releases of torch have no such writer (`diffloom.training.engine`).
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter

    try:
        save(
            tensors,
            storage_writer=HuggingFaceStorageWriter(str(hidden), save_distributed=True),
            planner=DefaultSavePlanner(dedup_save_to_lowest_rank=True),
        )
    except CheckpointException as error:
        return next(iter(error.failures.values()))[0]
    return None


def _files(hidden: Path, process: int) -> list[str]:
    """SHA-256 and name of each file that this process has written."""
    return [f"{file_digest(file)} {file.name}" for file in sorted(hidden.glob(f"shard-{process + 1:05d}-*"))]


def _shares(groups: Mapping[str, Mapping[str, Tensor]], *, is_main: bool) -> list[str]:
    """Each group's name and the SHA-256 of this process's share of it; what is not sharded is the main one's."""
    found = []
    for group, tensors in groups.items():
        own = {
            name: _own(tensor).detach().cpu()
            for name, tensor in tensors.items()
            if is_main or isinstance(tensor, DTensor)
        }
        found.append(f"{group} {tensors_digest(own)}")
    return found


def _own(tensor: Tensor) -> Tensor:
    """This process's share of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _joined(group: str, shares: Sequence[str]) -> str:
    """A group's digest, made of those of all shares of it in the order of the processes."""
    own = [line for line in shares if line.rpartition(" ")[0] == group]
    return hashlib.sha256("\n".join(own).encode()).hexdigest()
