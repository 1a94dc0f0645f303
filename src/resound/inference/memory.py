"""How much memory this process has had at most."""

from __future__ import annotations

import sys
from pathlib import Path

BYTES = 1 if sys.platform == "darwin" else 1024  # in a unit of ru_maxrss


def peak_memory_mb() -> float:
    """Return the most memory this process has had, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss may be that of the parent, from before this program was begun
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES / 2**20
