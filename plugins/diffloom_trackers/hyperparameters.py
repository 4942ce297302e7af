"""What TensorBoard's HParams page compares runs by."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from diffloom_trackers.library import imported
from diffloom_trackers.parameters import Scalar

STATUSES = {"finished": "STATUS_SUCCESS", "interrupted": "STATUS_UNKNOWN", "failed": "STATUS_FAILURE"}
"""What the page calls a session's end; it has no word for one that waits to be resumed."""


def beginning(group: str, values: Mapping[str, Scalar]) -> Any:
    """The summary that a session begins with: its hyperparameters."""
    pages = imported("tensorboard.plugins.hparams.plugin_data_pb2", extra="tensorboard")
    start = pages.SessionStartInfo(group_name=group, start_time_secs=time.time())
    for name, value in values.items():
        entry = start.hparams[name]
        if isinstance(value, bool):
            entry.bool_value = value
        elif isinstance(value, str):
            entry.string_value = value
        else:
            entry.number_value = value
    return _summary("SESSION_START_INFO_TAG", pages.HParamsPluginData(session_start_info=start))


def ending(reason: str) -> Any:
    """The summary that a session ends with."""
    pages = imported("tensorboard.plugins.hparams.plugin_data_pb2", extra="tensorboard")
    words = imported("tensorboard.plugins.hparams.api_pb2", extra="tensorboard")
    end = pages.SessionEndInfo(status=words.Status.Value(STATUSES[reason]), end_time_secs=time.time())
    return _summary("SESSION_END_INFO_TAG", pages.HParamsPluginData(session_end_info=end))


def _summary(tag: str, content: Any) -> Any:
    metadata = imported("tensorboard.plugins.hparams.metadata", extra="tensorboard")
    protocol = imported("tensorboard.compat.proto.summary_pb2", extra="tensorboard")
    value = protocol.Summary.Value(
        tag=getattr(metadata, tag),
        metadata=metadata.create_summary_metadata(content),
        tensor=metadata.NULL_TENSOR,
    )
    return protocol.Summary(value=[value])
