"""Seeds for several generators from one."""

from __future__ import annotations

import hashlib


def seeds(seed: int, count: int) -> list[int]:
    """Independent 32-bit seeds (a CPU generator keeps no more bits): one alone cannot have rates below 2^-32."""
    return [int.from_bytes(hashlib.blake2b(f"{seed}/{i}".encode(), digest_size=4).digest(), "big") for i in range(count)]
