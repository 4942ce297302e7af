"""Random bits that are a function of a key and a place, in a dozen operations on tensors: for masks inside networks.

The generator is SplitMix64 (Steele, Lea and Flood 2014, with Stafford's thirteenth mixer): whole numbers alone, so the
same bits on every device. Philox, by which `diffloom.process` draws noise, would take ten times the operations.
"""

from __future__ import annotations

from torch import Tensor


def _signed(word: int) -> int:
    """The 64-bit word as torch's int64 holds it."""
    return word - 2**64 if word >= 2**63 else word


GAMMA = _signed(0x9E3779B97F4A7C15)
"""The odd number next to 2⁶⁴ divided by the golden ratio: how far a stream's states are apart."""
FACTORS = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def split(key: Tensor, place: Tensor | int) -> Tensor:
    """Number `place` of the stream that begins at `key`, 64 random bits in an int64; both are broadcast."""
    z = key + (place + 1) * GAMMA if isinstance(place, Tensor) else key + _signed((place + 1) * GAMMA % 2**64)
    for shift, factor in zip((30, 27), FACTORS, strict=True):
        z ^= _shifted(z, shift)
        z *= factor
    z ^= _shifted(z, 31)
    return z


def _shifted(z: Tensor, bits: int) -> Tensor:
    """To the right, zeros coming in: torch's own shift repeats the sign."""
    shifted: Tensor = (z >> bits) & (2 ** (64 - bits) - 1)
    return shifted
