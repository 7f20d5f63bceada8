"""Random numbers as a function of (seed, step, image index), never of what was drawn before.

A `Key` holds one 64-bit state for each image of a batch, and numbers are read off it by hashing counters (SplitMix64;
Steele, Lea and Flood, 2014, Fast splittable pseudorandom number generators). So image 7 meets the same dropout mask,
the same augmentation and the same sampling noise in a batch of 1 or of 64, on any device, and a resumed run sees what
it would have seen.
"""

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2^64 / golden ratio, as the signed int64 that torch multiplies with wrap-around

_GOLDEN32 = 0x9E3779B9 - 2**32  # the same of 2^32, as an int32


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """Logical shift: torch's own keeps the sign."""
    return (z >> bits) & (2 ** (64 - bits) - 1)


def _mix(z: Tensor) -> Tensor:
    """SplitMix64's finaliser: a bijection of 64-bit words in which every input bit moves every output bit."""
    z = (z ^ _shift_right(z, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    z = (z ^ _shift_right(z, 27)) * (0x94D049BB133111EB - 2**64)
    return z ^ _shift_right(z, 31)


def _mix32(z: Tensor, salt: Tensor) -> Tensor:
    """MurmurHash3's finaliser, a bijection of 32-bit words, with a salt between its two products.

    Where a network drops activations, numbers of half the length are made twice as fast: a compiler computes them in
    vectors, right where they are used.
    """
    z = (z ^ (z >> 16 & 0xFFFF)) * (0x85EBCA6B - 2**32) ^ salt
    z = (z ^ (z >> 13 & 0x7FFFF)) * (0xC2B2AE35 - 2**32)
    return z ^ (z >> 16 & 0xFFFF)


@dataclass(frozen=True)
class Key:
    """One stream of random numbers for each image of a batch.

    Args:
        state: int64 (B,), one word for each image.
    """

    state: Tensor

    @classmethod
    def of(cls, seed: int, stream: str, step: int, index: Tensor) -> "Key":
        """The key of images `index` (int64, (B,)) at `step`; `stream` ("dropout", ...) keeps uses apart."""
        return cls(_mix(index.long())).fold(seed).fold(zlib.crc32(stream.encode())).fold(step)

    def fold(self, word: int) -> "Key":
        """A new, independent key for each value of `word`."""
        return Key(_mix(_mix(self.state + _GOLDEN) ^ word))

    def bits(self, count: int) -> Tensor:
        """Random 64-bit words, int64 (B, count)."""
        counter = torch.arange(1, count + 1, device=self.state.device)
        return _mix(self.state[:, None] + counter * _GOLDEN)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform numbers in [0, 1), shape (B, *shape); float64 has 53 random bits, any other dtype 24.

        The float32 number is the float64 one cut short, so both pick the same level but for near ties.
        """
        bits = self.bits(torch.Size(shape).numel()).reshape(-1, *shape)
        if dtype == torch.float64:
            return _shift_right(bits, 11).double() * 2.0**-53
        return (_shift_right(bits, 40).float() * 2.0**-24).to(dtype)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal numbers, shape (B, *shape): the quantile of the middle of each uniform number's interval."""
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        uniform = self.uniform(*shape, dtype=wide)
        middle = 2.0**-53 if wide == torch.float64 else 2.0**-24
        return (torch.erfinv(2 * uniform - 1 + middle) * 2**0.5).to(dtype)  # the sum is exact, and never -1 or 1

    def keep(self, probability: float, *shape: int) -> tuple[Tensor, Tensor]:
        """Two masks of 0 and 1, int32 (B, *shape) each; 1 with `probability` to within 2^-17."""
        low, high = self.state.view(torch.int32).view(-1, 2, *(1 for _ in shape)).unbind(1)  # (B, 1, ...) each
        counter = torch.arange(torch.Size(shape).numel(), dtype=torch.int32, device=self.state.device).view(shape)
        words = _mix32(counter * _GOLDEN32 + low, high)  # a word serves both
        last = round(probability * 2**16) - 2**15 - 1
        # the sign of a difference rather than a comparison: truth values are what compiled code is slow with
        return 1 + (last - (words >> 16) >> 31), 1 + (last - (words << 16 >> 16) >> 31)


def permutation(seed: int, stream: str, step: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """A random order of 0 .. count-1, int64 (count,)."""
    key = Key.of(seed, stream, step, torch.arange(count, device=device))
    return key.state.argsort(stable=True)
