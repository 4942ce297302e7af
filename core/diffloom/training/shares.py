"""Writing a sharded checkpoint: each process its own shares, and all of it whole or not at all.

torch.distributed.checkpoint writes into a hidden folder; when every process is done, the main one writes the header
beside the shares, and renames the folder.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_saver import save

import diffloom
from diffloom.checkpoint.header import MANIFEST, Header
from diffloom.checkpoint.whole_file import UNFINISHED, synced
from diffloom.checkpoint.writing import unwritable
from diffloom.training.processes import Processes


def save_shares(
    path: Path, groups: Mapping[str, Mapping[str, Tensor]], *, step: int, config: str, processes: Processes
) -> None:
    """Write tensors, by group and name, with a header, into a folder; all processes take part.

    Raises CheckpointError when the disk is full or the folder cannot be written to; leaves nothing behind.
    """
    hidden = path.parent / f"{UNFINISHED}{path.name}"
    tensors = {f"{group}/{name}": tensor for group, kept in groups.items() for name, tensor in kept.items()}
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
        digests = processes.listed(_digests(hidden, processes.index))
        with processes.together():
            try:
                if processes.is_main:
                    files = dict(line.split(" ", 1)[::-1] for line in digests)
                    (hidden / MANIFEST).write_text(_header(groups, tensors, files, step, config).to_json())
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
    try:
        save(
            tensors,
            storage_writer=HuggingFaceStorageWriter(str(hidden), save_distributed=True),
            planner=DefaultSavePlanner(dedup_save_to_lowest_rank=True),
        )
    except CheckpointException as error:
        return next(iter(error.failures.values()))[0]
    return None


def _digests(hidden: Path, process: int) -> list[str]:
    """SHA-256 and name of each file that this process has written."""
    return [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.name}"
        for file in sorted(hidden.glob(f"shard-{process + 1:05d}-*"))
    ]


def _header(
    groups: Mapping[str, object], names: Mapping[str, object], files: dict[str, str], step: int, config: str
) -> Header:
    listed = "".join(f"{files[name]} {name}\n" for name in sorted(files))
    return Header(
        step=step,
        config=config,
        version=diffloom.__version__,
        digests={group: hashlib.sha256(f"{group}\n{listed}".encode()).hexdigest() for group in groups},
        names=tuple(sorted(names)),
        files=files,
    )
