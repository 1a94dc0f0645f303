"""resound restores sound: old films and records, noisy speech.  One command, nothing lost.

>>> import resound
>>> clean = resound.restore(samples, 48000)                                               # doctest: +SKIP
>>> report = resound.restore_file("film.mkv", strength=0.7)                               # doctest: +SKIP
>>> fuller = resound.repair(denoised, samples, 48000)                                     # doctest: +SKIP
>>> network = resound.load("models/dns48")                                                # doctest: +SKIP
>>> voices = resound.separate(samples, 16000, "models/convtasnet")                        # doctest: +SKIP
>>> stream = resound.Stream("voice.onnx", sample_rate=44100, channels=2)                  # doctest: +SKIP
>>> resound.evaluate(enhanced="out", clean="clean", degraded="noisy").verdict             # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resound.checkpoint import load
    from resound.evaluation.api import evaluate
    from resound.inference.pipeline import restore, restore_file
    from resound.inference.repair import repair
    from resound.inference.repaired_stream import RepairedStream
    from resound.inference.separation import separate
    from resound.inference.streaming import Stream

__all__ = ["RepairedStream", "Stream", "evaluate", "load", "repair", "restore", "restore_file", "separate"]

# Names are looked up when they are used: `import resound` stays under a tenth of a second.
_HOMES = {
    "RepairedStream": "resound.inference.repaired_stream",
    "Stream": "resound.inference.streaming",
    "evaluate": "resound.evaluation.api",
    "load": "resound.checkpoint",
    "repair": "resound.inference.repair",
    "restore": "resound.inference.pipeline",
    "restore_file": "resound.inference.pipeline",
    "separate": "resound.inference.separation",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        with importlib.import_module("resound.errors").train_extra():
            return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("resound")
    raise AttributeError(f"module 'resound' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
