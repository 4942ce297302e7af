"""The shipped configurations of published models, built without memory for their weights.

Oracle: the published parameter counts; for CLIP's towers transformers' (without the projections that nobody reads
here); for VQ-f4 and the text transformer those of diffusers' classes (without the unused layer of words).
"""

from pathlib import Path

import pytest

from diffloom import config
from diffloom.assembly import assemble
from diffloom.bridge.empty import empty_weights
from diffloom.plugins import load_registry

KL_F8, VQ_F4 = 83_653_863, 55_322_782
COUNTS = {
    "sd15": {"space": KL_F8, "conditioners": 123_060_480, "backbone": 859_520_964},
    "sd21_v": {"space": KL_F8, "conditioners": 354_032_640 - 1024**2, "backbone": 865_910_724},
    "sdxl": {"space": KL_F8, "conditioners": 123_060_480 + 694_659_840, "backbone": 2_567_463_684},
    "ldm4_celebahq": {"space": VQ_F4, "conditioners": 0, "backbone": 274_056_163},
    "ldm_text_to_image": {"space": KL_F8, "conditioners": 542_895_360, "backbone": 872_300_484},
}


@pytest.mark.parametrize("name", COUNTS)
def test_published_models_are_built_exactly(name: str, configs: Path) -> None:
    registry = load_registry()
    document = config.require_diffusion(
        config.load(configs / f"{name}.yaml", registry=registry).document, place=name
    )
    with empty_weights():
        module = assemble(document, registry=registry).module
    counts = {part: sum(p.numel() for p in inner.parameters()) for part, inner in module.items()}
    assert counts == COUNTS[name]
    assert document.weights is None  # yours to name
