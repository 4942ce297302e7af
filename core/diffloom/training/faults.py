"""What a machine does to a run, told as what it is: a full disk, a killed reader. No configuration is at fault."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from diffloom.errors import DiffloomError, LostWorkerError, StorageError, UnfinishedError
from diffloom.training.run_folder import RunFolder

FULL_OR_GONE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOTCONN}
)
"""Error numbers of a disk that is full, or that went away in the middle of a run."""
LOST_WORKER = re.compile(r"DataLoader worker \(pid.*\) (is killed by signal|exited unexpectedly)")
"""How torch's DataLoader says that one of its processes is gone."""
RUST = re.compile(r"\(os error (\d+)\)")
"""How safetensors tells an error number."""


@contextmanager
def faults_told(run: RunFolder) -> Iterator[None]:
    """While entered, such faults become StorageError or LostWorkerError, which name the checkpoint that stands."""
    try:
        yield
    except UnfinishedError:
        raise
    except (DiffloomError, OSError) as error:
        if _numbers(error).isdisjoint(FULL_OR_GONE):
            raise
        raise StorageError(f"{error}; {run.standing}") from error
    except RuntimeError as error:
        found = LOST_WORKER.search(str(error))
        if found is None:
            raise
        raise LostWorkerError(
            f"a process that reads data is gone: {str(error).strip()} Most often memory ran out, and fewer "
            f"train.workers need less; {run.standing}"
        ) from error


def _numbers(error: BaseException) -> set[int]:
    """The error numbers that an exception and those that led to it carry."""
    numbers: set[int] = set()
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno is not None:
            numbers.add(link.errno)
        numbers |= {int(number) for number in RUST.findall(str(link))}
        link = link.__cause__
    return numbers
