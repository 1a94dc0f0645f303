"""What is in a prepared set, in numbers and as a small table."""

from __future__ import annotations

from collections import Counter
from typing import Any

BIN_DB = 5
WIDEST = 40  # characters of the longest bar
MOST_REASONS = 8


class Summary:
    """Sums over the records of examples; `lines` shows them."""

    def __init__(self, n_asked: int, n_missing: int) -> None:
        self.n_asked = n_asked
        self.n_missing = n_missing
        self.n_examples = 0
        self.seconds = 0.0
        self.n_bytes = 0
        self.domains: Counter[str] = Counter()
        self.snr_bins: Counter[int | None] = Counter()  # by the lower edge in dB; None: one side is silent, or equal
        self.skipped: Counter[str] = Counter()
        self.n_unsure = 0  # denoised sides whose delay could not be told
        self.delays: dict[str, Counter[int]] = {}  # of each denoiser, in samples
        self.n_scaled = 0  # examples that had to be scaled to fit
        self.snr_errors_db: list[float] = []

    def add(self, record: dict[str, Any]) -> None:
        """Add one example."""
        self.n_examples += 1
        self.seconds += record["n_samples"] / record["sample_rate"]
        self.n_bytes += sum(file["size_bytes"] for file in record["files"].values())
        self.domains[record["domain"] or "no domain"] += 1
        snr_db = record["snr_db"]
        self.snr_bins[None if snr_db is None else int(snr_db // BIN_DB) * BIN_DB] += 1
        self.skipped.update(record.get("skipped", {}))
        self.n_scaled += "fit_gain_db" in record
        if record.get("snr_error_db") is not None:
            self.snr_errors_db.append(abs(record["snr_error_db"]))
        if "denoiser" in record:
            self.n_unsure += not record["denoiser"]["sure"]
            if record["denoiser"]["sure"]:
                delays = self.delays.setdefault(record["denoiser"]["name"], Counter())
                delays[record["denoiser"]["delay"]["samples"]] += 1

    def lines(self) -> list[str]:
        """Return the summary, a line each."""
        domains = ", ".join(f"{name} {count}" for name, count in sorted(self.domains.items()))
        lines = [f"{self.n_examples} examples, {self.seconds / 3600:.2f} h, {self.n_bytes / 1e9:.2f} GB: {domains}"]
        lines += self._histogram()
        if self.snr_errors_db:
            lines.append(
                f"asked-for and measured SNR differ by at most {max(self.snr_errors_db):.4f} dB "
                f"({len(self.snr_errors_db)} examples with one noise)"
            )
        for name, delays in sorted(self.delays.items()):
            found = ", ".join(f"{delay} samples {count} times" for delay, count in delays.most_common(4))
            whose = f"delay of {name}" if len(self.delays) > 1 else "denoiser's delay"
            lines.append(f"the {whose}, removed: {found}")
        if self.n_unsure:
            lines.append(
                f"{self.n_unsure} denoised files have a delay that could not be told; they are not in the manifest"
            )
        if self.n_scaled:
            lines.append(f"{self.n_scaled} examples were scaled down to fit below full scale")
        return lines + self._reasons()

    def _histogram(self) -> list[str]:
        """Return a line for each 5 dB of the ratio between the clean part and all that differs from it."""
        edges = [edge for edge in self.snr_bins if edge is not None]
        most = max(self.snr_bins.values(), default=0)
        rows = [(f"{edge:4} to {edge + BIN_DB:3} dB", self.snr_bins[edge]) for edge in _steps(edges)]
        rows += [("no difference", self.snr_bins[None])] if self.snr_bins[None] else []
        bars = [f"  {label:>14}  {count:7}  {'#' * round(WIDEST * count / most)}".rstrip() for label, count in rows]
        return ["degraded against clean, reverberation and all else counted as noise:", *bars] if bars else []

    def _reasons(self) -> list[str]:
        """Return how much material was skipped and why, the most frequent first."""
        if not self.skipped:
            return []
        lines = [f"{self.skipped.total()} pieces of material were skipped:"]
        lines += [f"  {count} x {reason}" for reason, count in self.skipped.most_common(MOST_REASONS)]
        rest = len(self.skipped) - MOST_REASONS
        return lines + ([f"  and {rest} more reasons"] if rest > 0 else [])


def _steps(edges: list[int]) -> range:
    return range(min(edges), max(edges) + 1, BIN_DB) if edges else range(0)
