"""What the networks that ship are worth, beside the peers, on recordings that none of them has seen.

Each system restores the same files in the same run; `resound evaluate` judges what came out, `resound compare` says
what can be told apart.  Sets are made of the ``valid`` split: its speakers, noises and music train nothing.

- ``voice``: speech with one noise at -5, 0, 5, 10 or 15 dB; 4 s, 16 kHz.
- ``film``: speech, music and effects through the film, record and tape chains; 6 s, 48 kHz.  What a medium does to the
  sound itself (its band, its speed) is on the reference too: judged is the noise that was taken away.  Effects are
  those of the noises that stand out of their own floor (scripts/list_effects.py): rain cannot be told from hiss.
  Speech has lost its own hiss (resound corpus dehiss, by the classic chain): it is the medium's noise as well as any.
  Half of them are narrowed afterwards, noise and programme alike ("closed"), as copies and transfers do: in the others
  noise goes on below and above the programme, and to know it by that is of no use with real recordings.

In brackets the 95 % interval of the mean.  "Time" is what a second of sound takes one core, of a minute of it at 48
kHz, the median of three.

    resound corpus scan ../shared/data -o data.jsonl
    python benchmarks/quality.py voice data.jsonl --model voice=voice --work quality

The first table is left in the work's folder, too, for the card of a network that ships (scripts/ship_network.py).
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from common import (
    Method,
    machine,
    noisereduce_method,
    parser_for,
    print_table,
    read_mono,
    resound_method,
    rnnoise_method,
    timed,
)  # keeps numpy to one thread: first

# isort: split
import numpy as np
import yaml

from resound.corpora.manifest import read_manifest, write_manifest

UNPROCESSED = "unprocessed"
MEDIA = ("film-1930s", "film-1960s", "record-78", "lp", "cassette")
METRICS = {
    "voice": ("si_sdr", "pesq", "stoi", "dnsmos_ovr", "level_db"),
    "film": ("si_sdr", "lsd", "mrstft", "level_db"),
}
GROUPED_BY = {  # what the figures of each metric are told by
    "voice": {"snr_db": ("pesq", "si_sdr")},
    "film": {"domain": ("si_sdr", "lsd", "mrstft"), "band": ("si_sdr", "lsd", "mrstft")},
}
CLOSING = {"low_hz": [100, 300], "high_hz": {"log": [3000, 7000]}, "db_per_octave": {"one_of": [18, 24, 36]}}
DIGITS = {"pesq": 2, "stoi": 3, "dnsmos_ovr": 2, "mrstft": 3}  # of a metric; else 1
Table = dict[str, list[Any]]


def mix_of(task: str, manifest: str, speech: str, effects: str) -> dict[str, Any]:
    """Return the settings of `resound prepare` for a set, by manifests."""
    usual = {"split": "valid", "seed": 2026, "level_dbfs": [-35, -20]}
    if task == "voice":
        noise = {"bank": manifest, "snr_db": {"one_of": [-5, 0, 5, 10, 15]}}
        clean: Any = {"corpus": speech, "domain": "speech"}
        return {**usual, "sample_rate": 16000, "segment_seconds": 4, "clean": clean, "chain": [{"noise": noise}]}
    clean = [
        {"corpus": speech, "domain": "speech", "share": 0.4},
        {"corpus": manifest, "domain": "music", "share": 0.3},
        {"corpus": effects, "domain": "effects", "share": 0.3},
    ]
    chain = [{"one_of": [{"chain": name} for name in MEDIA]}, {"band_limit": CLOSING, "probability": 0.5}]
    preset = yaml.safe_load((resources.files("resound") / "presets/models/film.yaml").read_text(encoding="utf-8"))
    stays = preset["train"]["data"]["same_on_target"]  # what a medium does to the sound itself
    return {
        **usual, "sample_rate": 48000, "segment_seconds": 6, "clean": clean, "chain": chain, "same_on_target": stays,
    }  # fmt: skip


def prepare(task: str, manifest: Path, folder: Path, count: int) -> None:
    """Write the set, unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    speech, effects = manifest.resolve(), folder.resolve() / "effects.jsonl"
    if task == "film":
        speech = dehissed(manifest, folder)
        run_script("list_effects.py", manifest, "-o", effects)
    config = folder / "mix.yaml"
    config.write_text(
        yaml.safe_dump(mix_of(task, str(manifest.resolve()), str(speech), str(effects))), encoding="utf-8"
    )
    run("prepare", config, "-o", folder / "set", "--count", count, "--format", "wav")
    with open(folder / "set" / "examples.jsonl", encoding="utf-8") as lines:
        examples = [json.loads(line) for line in lines]
    with open(folder / "about.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(("name", "snr_db", "domain", "band"))
        for example in examples:
            name = Path(example["files"]["degraded"]["path"]).stem
            last = example["recipe"]["chain"][-1].get("band_limit", {})
            is_closed = (last.get("low_hz") or 0) >= CLOSING["low_hz"][0]  # the media's own last ones are below it
            writer.writerow((name, example.get("asked_snr_db"), example["domain"], "closed" if is_closed else "open"))


def dehissed(path: Path, folder: Path) -> Path:
    """Return a manifest of the speech of split ``valid`` without its own hiss."""
    manifest = read_manifest(path)
    speech = [each for each in manifest.recordings if each.split == "valid" and each.domain == "speech"]
    write_manifest(folder / "valid.jsonl", replace(manifest, recordings=speech), overwrite=True)
    run("corpus", "dehiss", folder / "valid.jsonl", "-o", folder / "speech", "--overwrite")
    return folder.resolve() / "speech.jsonl"


def run(*words: object) -> None:
    """Run a command of resound; end where it fails."""
    _run("resound", [sys.executable, "-m", "resound.cli.main"], words)


def run_script(name: str, *words: object) -> None:
    """Run one of the repository's scripts; end where it fails."""
    _run(name, [sys.executable, str(Path(__file__).resolve().parent.parent / "scripts" / name)], words)


def _run(name: str, command: list[str], words: tuple[object, ...]) -> None:
    given = [str(word) for word in words]
    if subprocess.run([*command, *given], stdout=subprocess.DEVNULL, check=False).returncode:
        sys.exit(f"{name} {' '.join(given)}: failed")


def systems(task: str, models: Mapping[str, str]) -> dict[str, Method]:
    """Return what is compared, by name."""
    return {
        UNPROCESSED: lambda samples, sample_rate: samples,
        "classic": resound_method("classic"),
        "noisereduce": noisereduce_method(stationary=False),
        **({"RNNoise": rnnoise_method()} if task == "voice" else {}),  # it keeps nothing but speech
        **{name: resound_method(model) for name, model in models.items()},
    }


def restore(task: str, name: str, models: Mapping[str, str], folder: Path, path: Path) -> None:
    """Write what a system makes of a recording."""
    import soundfile

    samples, sample_rate = read_mono(path)
    restored = systems(task, models)[name](samples, sample_rate)
    soundfile.write(folder / path.name, restored.astype(np.float32), sample_rate, subtype="FLOAT")


def restore_all(task: str, name: str, models: Mapping[str, str], folder: Path, n_jobs: int) -> None:
    """Let a system restore the set."""
    made = folder / "enhanced" / name
    made.mkdir(parents=True, exist_ok=True)
    paths = sorted((folder / "set" / "degraded").glob("*.wav"))
    with ProcessPoolExecutor(n_jobs) as pool:  # by name: functions do not travel
        list(pool.map(partial(restore, task, name, models, made), paths))


def time_of(method: Method) -> float:
    """Return how long a second of sound takes."""
    minute = np.random.default_rng(0).standard_normal(60 * 48000) * 0.05
    return float(np.median([timed(method, minute, 48000)[1] for _ in range(3)])) / 60


def judge(task: str, name: str, folder: Path, n_jobs: int) -> Path:
    """Judge what a system made; return the folder of results."""
    results = folder / "results" / name
    sides = ["--clean", folder / "set" / "clean", "--degraded", folder / "set" / "degraded"]
    words = ["--metrics", ",".join(METRICS[task]), "--baselines", "none", "--about", folder / "about.csv"]
    run("evaluate", "--enhanced", folder / "enhanced" / name, *sides, *words, "-o", results, "-j", n_jobs)
    return results


def tables(task: str, names: list[str], models: list[str], folder: Path, times: Mapping[str, float]) -> Table:
    """Print figures of all systems, by group, and what can be told apart; return the first table."""
    from resound.evaluation.compare import compare
    from resound.evaluation.measures import title_of

    metrics = METRICS[task]
    compared = compare([folder / "results" / name for name in names], metrics)
    columns = ["", *map(title_of, metrics), "time"]
    of_all = [
        [name, *(_mean(compared.statistics(name, metric), metric) for metric in metrics), f"{times[name]:.3f}"]
        for name in names
    ]
    print_table(columns, of_all)
    with open(folder / "about.csv", newline="", encoding="utf-8") as table:
        about = {row["name"]: row for row in csv.DictReader(table)}
    for kind, shown in GROUPED_BY[task].items():
        group_of = [about[name][kind] for name in compared.names]
        groups = sorted(set(group_of), key=lambda text: (0, float(text)) if kind == "snr_db" else (len(text), text))
        for metric in shown:
            rows = []
            for system in compared.systems:
                values = compared.values(system, metric)
                means = (np.nanmean(values[[own == group for own in group_of]]) for group in groups)
                rows.append((system.name, *(f"{mean:.{DIGITS.get(metric, 1)}f}" for mean in means)))
            print_table((f"{title_of(metric)} by {kind}", *groups), rows)
    rows = []
    for pairing in compared.pairings:
        if pairing.second in models and pairing.first not in models and pairing.metric != "level_db":
            found, digits = pairing.difference, DIGITS.get(pairing.metric, 1)
            told = ("better" if found.mean > 0 else "worse") if found.is_told_apart else "cannot be told apart"
            gain = f"{found.mean:+.{digits}f} ({found.low:+.{digits}f} to {found.high:+.{digits}f})"
            rows.append((pairing.second, pairing.first, title_of(pairing.metric), gain, told))
    if rows:
        print_table(("", "beside", "metric", "better by", ""), rows)
    return {"columns": columns, "rows": of_all}


def _mean(statistics: Any, metric: str) -> str:
    digits = DIGITS.get(metric, 1)
    return f"{statistics.mean:.{digits}f} ({statistics.low:.{digits}f} to {statistics.high:.{digits}f})"


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("task", choices=METRICS)
    parser.add_argument("manifest", type=Path, help="what 'resound corpus scan' listed")
    parser.add_argument("--model", nargs="+", default=[], metavar="NAME=PATH", help="networks to judge")
    parser.add_argument("--count", type=int, default=100, help="recordings in the set (100)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--work", type=Path, default=Path("quality"), help="where all is written (quality)")
    arguments = parser.parse_args()
    models = dict(each.split("=", 1) for each in arguments.model)
    folder = arguments.work / arguments.task
    prepare(arguments.task, arguments.manifest, folder, arguments.count)
    names = list(systems(arguments.task, models))
    times = {name: time_of(method) for name, method in systems(arguments.task, models).items()}
    for name in names:
        print(f"{name} ...", file=sys.stderr)
        restore_all(arguments.task, name, models, folder, arguments.jobs)
        judge(arguments.task, name, folder, arguments.jobs)
    print(f"{machine()}; {arguments.count} recordings\n")
    table = tables(arguments.task, names, list(models), folder, times)
    told = {"machine": machine(), "count": arguments.count, **table}
    (folder / "figures.json").write_text(json.dumps(told, indent=2, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
