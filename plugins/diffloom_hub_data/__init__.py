"""Data that Hugging Face's library `datasets` reads: tables, shards, folders and the hub, held or streamed."""

from diffloom import Registrar, hookimpl
from diffloom_hub_data.component import HuggingFace

__all__ = ["HuggingFace"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the data source."""
    registrar.add(HuggingFace)
