"""Opening a data set with the library, its errors told as the user's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffloom.errors import DataError
from diffloom_hub_data.files import Files, files_of
from diffloom_hub_data.library import datasets

if TYPE_CHECKING:
    from diffloom_hub_data.component import HuggingFace


def opened(component: HuggingFace) -> tuple[Any, Files | None]:
    """A `Dataset`, or an `IterableDataset` where it is streamed, and the files that it is of.

    Raises DataError for whatever the library raises.
    """
    files = files_of(component.path, component.format)
    if files is not None:
        for field in ("configuration", "revision"):
            if getattr(component, field) is not None:
                raise DataError(
                    f"data.{field}: {component.path} is on disk; only data sets of the hub have a {field}"
                )
    library = datasets()
    try:
        return (
            _saved(component, files) if files and files.format == "saved" else _loaded(component, files)
        ), files
    except library.exceptions.DatasetNotFoundError as error:
        raise DataError(
            f"{component.path}: no such file or folder here, and no such data set on the hub, or none that one may "
            "read without logging in (`hf auth login`)"
        ) from error
    except ConnectionError as error:
        raise DataError(
            f"{component.path}: no such file or folder here, and the hub cannot be reached ({error}); check the path, "
            "or the network; offline, name files on disk"
        ) from error
    except Exception as error:  # of pyarrow, fsspec, the hub's client, and many of the library's own
        cause = error.__cause__ or error
        told = str(cause).strip().splitlines() or [type(cause).__name__]
        raise DataError(f"{component.path}: cannot be read with `datasets`: {told[0]}") from error


def _loaded(component: HuggingFace, files: Files | None) -> Any:
    """Files, or a data set of the hub."""
    load = datasets().load_dataset
    cache = component.cache and str(Path(component.cache).expanduser())
    options = {"split": component.split, "streaming": component.streaming, "cache_dir": cache}
    if files is None:
        return load(component.path, component.configuration, revision=component.revision, **options)
    if files.names:
        part = component.split.partition("[")[0]
        return load(files.format, data_files={part: list(files.names)}, **options)
    return load(files.format, data_dir=str(files.root.resolve()), **options)


def _saved(component: HuggingFace, files: Files) -> Any:
    """What `save_to_disk` wrote."""
    library = datasets()
    part, bracket, _ = component.split.partition("[")
    if bracket:
        raise ValueError(f"a saved data set is not sliced: set `split: {part}`")
    found = library.load_from_disk(str(files.root))
    if isinstance(found, library.DatasetDict):
        if part not in found:
            raise ValueError(f"it has no split {part}; it has {', '.join(found)}")
        found = found[part]
    return (
        found.to_iterable_dataset(num_shards=max(1, len(found.cache_files))) if component.streaming else found
    )
