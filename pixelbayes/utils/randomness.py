"""Random numbers as a function of (seed, stream, step, image index), independent of earlier draws.

A `Key` holds one 64-bit state per image of a batch. Its numbers are hashes of counters (SplitMix64; Steele, Lea and
Flood, 2014, Fast splittable pseudorandom number generators, https://doi.org/10.1145/2714064.2660195). An image
therefore gets the same dropout mask, augmentation and sampling noise in a batch of any size and on any device, and a
resumed run repeats what an uninterrupted run would have computed.
"""

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.utils.errors import InputError

# 64-bit constants are written as signed int64, because torch has no unsigned arithmetic; products wrap around
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2^64 / golden ratio
_GOLDEN32 = 0x9E3779B9 - 2**32  # 2^32 / golden ratio


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """Logical shift, because torch's own shift repeats the sign bit."""
    shifted: Tensor = (z >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _mix(z: Tensor) -> Tensor:
    """The finaliser of SplitMix64, a bijection of 64-bit words in which every input bit affects every output bit."""
    z = (z ^ _shift_right(z, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    z = (z ^ _shift_right(z, 27)) * (0x94D049BB133111EB - 2**64)
    return z ^ _shift_right(z, 31)


def _mix32(z: Tensor, salt: Tensor) -> Tensor:
    """The finaliser of MurmurHash3, a bijection of 32-bit words, with a salt between its two products.

    Dropout uses it because 32-bit arithmetic is twice as fast: compilers vectorise it and fuse it with its use.
    """
    z = (z ^ (z >> 16 & 0xFFFF)) * (0x85EBCA6B - 2**32) ^ salt
    z = (z ^ (z >> 13 & 0x7FFFF)) * (0xC2B2AE35 - 2**32)
    return z ^ (z >> 16 & 0xFFFF)


@dataclass(frozen=True)
class Key:
    """One stream of random numbers per image of a batch.

    Args:
        state: int64 (B,), one word per image.
    """

    state: Tensor

    @classmethod
    def of(cls, seed: int, stream: str, step: int, index: Tensor) -> "Key":
        """The key of a batch at one step.

        Args:
            seed: Random seed, within 64 bits.
            stream: Purpose of the numbers, such as "dropout"; streams are independent of each other.
            step: Training step or epoch.
            index: int64 (B,), index of each image in its data set.
        """
        return cls(_mix(index.long())).fold(seed).fold(zlib.crc32(stream.encode())).fold(step)

    def fold(self, word: int) -> "Key":
        """A new key, independent of this one and of those of other words."""
        return Key(_mix(_mix(self.state + _GOLDEN) ^ word))

    def bits(self, count: int) -> Tensor:
        """Random 64-bit words, int64 (B, count)."""
        counter = torch.arange(1, count + 1, device=self.state.device)
        return _mix(self.state[:, None] + counter * _GOLDEN)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform numbers in [0, 1), (B, *shape), with 53 random bits in float64 and 24 in any other dtype.

        The float32 number is the float64 number truncated, so sampling in either precision picks the same level except
        for near ties.
        """
        bits = self.bits(torch.Size(shape).numel()).reshape(-1, *shape)
        if dtype == torch.float64:
            return _shift_right(bits, 11).double() * 2.0**-53
        return (_shift_right(bits, 40).float() * 2.0**-24).to(dtype)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal numbers, (B, *shape): quantiles of the midpoints of the intervals of `uniform`."""
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        uniform = self.uniform(*shape, dtype=wide)
        half_interval = 2.0**-53 if wide == torch.float64 else 2.0**-24  # of 2 u - 1
        argument = 2 * uniform - 1 + half_interval  # exact, and never -1 or 1
        return (torch.erfinv(argument) * 2**0.5).to(dtype)

    def keep(self, probability: float, *shape: int) -> tuple[Tensor, Tensor]:
        """Two independent dropout masks.

        Args:
            probability: Probability of 1, rounded to a multiple of 2^-16.
            shape: Shape of a mask per image.

        Returns:
            Two masks of 0 and 1, int32 (B, *shape) each.
        """
        low, high = self.state.view(torch.int32).view(-1, 2, *(1 for _ in shape)).unbind(1)  # (B, 1, ...) each
        counter = torch.arange(torch.Size(shape).numel(), dtype=torch.int32, device=self.state.device).view(shape)
        words = _mix32(counter * _GOLDEN32 + low, high)  # 16 bits for each mask
        largest = round(probability * 2**16) - 2**15 - 1  # a mask is 1 where its signed 16 bits are at most this
        # the sign bit of a difference instead of a comparison, because compiled code is slow with booleans
        return 1 + (largest - (words >> 16) >> 31), 1 + (largest - (words << 16 >> 16) >> 31)


def check_seed(seed: int) -> None:
    """Checks that a random seed fits into 64 bits.

    Raises:
        InputError: If it does not.
    """
    if not -(2**63) <= seed < 2**63:
        raise InputError(f"seed is {seed}, expected a whole number of at most 64 bits")


def permutation(seed: int, stream: str, step: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """A random order of 0 .. count-1, int64 (count,); arguments as in `Key.of`."""
    key = Key.of(seed, stream, step, torch.arange(count, device=device))
    return key.state.argsort(stable=True)
