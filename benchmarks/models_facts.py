"""What the networks cost at the sizes of their presets, worked out from shapes: for their pages, and to compare sizes.

python benchmarks/models_facts.py conv_tasnet     # the table on a network's page
python benchmarks/models_facts.py                 # all parameter counts beside the published ones
"""

from __future__ import annotations

import argparse
from typing import Any

from common import parser_for

NETWORKS = ("conv_tasnet", "tf_gridnet", "two_stage_unet", "demucs", "wave_u_net", "gatewave", "timbre", "band_rnn")
# Counts of the original implementations, as papers or their code give them; the timbre generator's paper says 3.5 M.
PUBLISHED = {
    "convtasnet-paper": 5_050_545,
    "convtasnet-student": 1_472_157,
    "demucs48": 18_867_937,
    "demucs64": 33_533_569,
    "film-prototype": 1_880_388,
    "film-paper": 71_408_196,
}
# Other forms that a page speaks of: words added to those of a preset.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "convtasnet-paper": [{"causal": True, "norm": "cumulative"}, {"causal": True, "norm": "channel"}],
    "demucs64": [{"causal": False, "stride": 2, "resample": 2, "normalisation": "whole"}],
    "gatewave": [{"causal": True}],
}
# Networks whose page shows the default sizes too.
WITH_DEFAULTS = ("band_rnn",)


def facts_text(network: str) -> str:
    """Return a table of a network at the sizes of its presets, and at its default ones where a page wants them."""
    from resound.models.facts import facts_of
    from resound.models.presets import load_preset, preset_names

    rows = []
    sizes_of = {network: {}} if network in WITH_DEFAULTS else {}
    presets = [load_preset(name) for name in preset_names()]
    sizes_of |= {preset.name: preset.config for preset in presets if preset.network == network}
    for name, config in sizes_of.items():
        for words in [{}, *VARIANTS.get(name, [])]:
            facts = facts_of(network, {**config, **words})
            added = "".join(f" {key}={str(value).lower()}" for key, value in words.items())
            work, memory = f"{facts.macs_per_second / 1e9:.3g}", f"{facts.training_memory_mb / 1e3:.2g} GB"
            sizes = f"{facts.sample_rate:,} Hz | {facts.parameters:,} | {work} | {reach(facts.receptive_field_ms)}"
            rows.append(f"| `{name}{added}` | {sizes} | {late(facts)} | {memory} |")
    header = "| size | rate | parameters | GMAC for a second | receptive field | latency | training step |"
    return "\n".join([header, "| --- | ---: | ---: | ---: | ---: | --- | ---: |", *rows])


def reach(milliseconds: float | None) -> str:
    """Return a receptive field."""
    if milliseconds is None:
        return "unlimited"
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"


def late(facts: Any) -> str:
    """Return what a stream is late by, and what it is fed."""
    if facts.latency_ms is None:
        return "not causal"
    return f"{facts.latency_ms:.4g} ms, in hops of {facts.hop_ms:.4g} ms"


def parameters_text() -> str:
    """Return a table of the parameters of all presets beside the published counts."""
    from resound.models.facts import build_without_values
    from resound.models.network import n_parameters
    from resound.models.presets import load_preset, preset_names

    rows = []
    for network in NETWORKS:
        for name in preset_names():
            preset = load_preset(name)
            if preset.network == network:
                count = n_parameters(build_without_values(network, preset.config))
                published = f"{PUBLISHED[name]:,}" if name in PUBLISHED else "-"
                rows.append(f"| [{network}](networks/{network}.md) | `{name}` | {count:,} | {published} |")
    return "\n".join(["| network | preset | parameters | published |", "| --- | --- | ---: | ---: |", *rows])


def main() -> None:
    parser: argparse.ArgumentParser = parser_for(__doc__, data=False)
    parser.add_argument("network", nargs="?", choices=NETWORKS)
    network = parser.parse_args().network
    print(facts_text(network) if network else parameters_text())


if __name__ == "__main__":
    main()
