"""What evaluation measures: which values are better, at which rates they are valid, and which package they need."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from resound.errors import ConfigError, did_you_mean
from resound.judging.measures import MEASURES, PERCEPTUAL, Measure

Needs = Literal["clean", "degraded"]  # beside the estimate


@dataclass(frozen=True)
class Metric:
    """One metric: how its values count and what it needs."""

    measure: Measure
    needs: Needs = "clean"
    package: str | None = None  # that computes it
    extra: str = "eval"  # which brings the package
    sample_rate: int | None = None  # it is computed at, None: that of the recordings
    least_rate: int = 0  # of recordings; below it the metric has no answer
    is_for_sources: bool = True  # whether it means something for the voices of a mixture


METRICS: dict[str, Metric] = {
    "si_sdr": Metric(MEASURES["si_sdr"]),
    "snr": Metric(MEASURES["snr"]),
    "sdr": Metric(Measure("SDR", "dB", "higher", 1), package="fast_bss_eval"),
    "pesq": Metric(PERCEPTUAL["pesq"], package="pesq", sample_rate=16000, least_rate=16000),
    "pesq_nb": Metric(Measure("PESQ nb", "MOS", "higher", 2), package="pesq", sample_rate=8000),
    "stoi": Metric(PERCEPTUAL["stoi"], package="pystoi", sample_rate=10000),
    "estoi": Metric(PERCEPTUAL["estoi"], package="pystoi", sample_rate=10000),
    "lsd": Metric(MEASURES["lsd"]),
    "mrstft": Metric(Measure("MR-STFT", "", "lower", 3)),
    "level_db": Metric(MEASURES["level_db"]),
    "level_ratio_db": Metric(MEASURES["level_ratio_db"]),
    "removed_correlation": Metric(MEASURES["removed_correlation"]),
    "noise_fall_db": Metric(Measure("noise fall", "dB", "higher", 1), needs="degraded", is_for_sources=False),
    "active_db": Metric(Measure("active level", "dB", "near 0", 1), needs="degraded", is_for_sources=False),
    "dnsmos_sig": Metric(Measure("DNSMOS SIG", "MOS", "higher", 2), "degraded", "speechmos", "mos", 16000, 16000),
    "dnsmos_bak": Metric(Measure("DNSMOS BAK", "MOS", "higher", 2), "degraded", "speechmos", "mos", 16000, 16000),
    "dnsmos_ovr": Metric(Measure("DNSMOS OVR", "MOS", "higher", 2), "degraded", "speechmos", "mos", 16000, 16000),
}
DNSMOS = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovr")
# What is measured unless something else is asked for: cheap enough, and each says something of its own.
USUAL = ("si_sdr", "snr", "pesq", "stoi", "estoi", "lsd", "mrstft", "level_db", "noise_fall_db")
USUAL_OF_SOURCES = ("si_sdr", "snr", "sdr", "pesq_nb", "stoi", "lsd", "level_db")
USUAL_WITHOUT_CLEAN = ("noise_fall_db", "active_db", *DNSMOS)
GROUPS = {"dnsmos": DNSMOS, "all": tuple(METRICS)}
OF_THE_RUN = ("si_sdr_i", "snr_i")  # improvements, which every metric has


@dataclass(frozen=True)
class Chosen:
    """The metrics of an evaluation, and those that were left out, each with the reason."""

    names: tuple[str, ...]
    left_out: dict[str, str]


def choose(asked: Sequence[str], *, has_clean: bool, n_sources: int = 1, sample_rate: int = 0) -> Chosen:
    """Return the metrics that were asked for, or the usual ones, which can be computed here.

    ``asked`` may hold ``all``, ``dnsmos`` and lists with commas.  Raises `ConfigError` for an unknown name, and where
    nothing is left.
    """
    names = _named(asked)
    wanted = names or _usual(has_clean=has_clean, n_sources=n_sources, sample_rate=sample_rate)
    left_out = {name: why for name in wanted if (why := _hindrance(name, has_clean, n_sources))}
    kept = tuple(name for name in wanted if name not in left_out)
    if not kept:
        raise ConfigError("no metric is left: " + "; ".join(f"{name} {why}" for name, why in left_out.items()))
    return Chosen(kept, left_out)


def _named(asked: Sequence[str]) -> tuple[str, ...]:
    words = [word.strip().lower() for text in asked for word in text.split(",") if word.strip()]
    names: list[str] = []
    for word in words:
        base = word.removesuffix("_i") if word.removesuffix("_i") in METRICS else word
        if base not in METRICS and base not in GROUPS:
            known = [*METRICS, *GROUPS]
            raise ConfigError(
                f"metric {word!r} is not known{did_you_mean(word, known)}; there are {', '.join(known)}, and of each "
                "the improvement over the input"
            )
        names += GROUPS.get(base, (base,))
    return tuple(dict.fromkeys(names))


def _usual(*, has_clean: bool, n_sources: int, sample_rate: int) -> tuple[str, ...]:
    if not has_clean:
        return USUAL_WITHOUT_CLEAN
    names = USUAL_OF_SOURCES if n_sources > 1 else USUAL
    is_narrow = 0 < sample_rate < METRICS["pesq"].least_rate
    return tuple("pesq_nb" if name == "pesq" and is_narrow else name for name in names)


def _hindrance(name: str, has_clean: bool, n_sources: int) -> str:
    """Return why a metric cannot be computed, or nothing."""
    metric = METRICS[name]
    if metric.needs == "clean" and not has_clean:
        return "needs clean references (--clean)"
    if n_sources > 1 and not metric.is_for_sources:
        return "means nothing for the voices of a mixture"
    if metric.package and importlib.util.find_spec(metric.package) is None:
        package = metric.package.replace("_", "-")
        return f"needs {package}, which is not installed; run: pip install 'resound[{metric.extra}]'"
    return ""


def resampled_for(names: Iterable[str], sample_rate: int) -> dict[str, int]:
    """Return at which other rate each of the metrics is computed for recordings of a rate."""
    rates = {name: METRICS[name].sample_rate for name in names if sample_rate >= least(name)}
    return {name: rate for name, rate in rates.items() if rate is not None and rate != sample_rate}


def least(name: str) -> int:
    """Return the lowest rate of recordings at which a metric has an answer."""
    return METRICS[name].least_rate


def title_of(name: str) -> str:
    """Return how a metric is called, with its unit: ``SI-SDR (dB)``."""
    measure = METRICS[name].measure
    return f"{measure.title} ({measure.unit})" if measure.unit else measure.title


def gain_of(name: str, after: float, before: float) -> float:
    """Return an improvement, positive where ``after`` is the better."""
    badness = METRICS[name].measure.badness
    return badness(before) - badness(after)
