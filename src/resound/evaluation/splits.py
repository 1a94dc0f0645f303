"""Examples of a corpus split as cases: mixed by a YAML, or those on which a run was validated, mixed anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from resound.config import read_yaml
from resound.corpora.manifest import read_manifest
from resound.errors import ConfigError, train_extra
from resound.evaluation.cases import Case, cases_of_cache
from resound.mixing.cache import open_cache
from resound.mixing.config import Common, mixing_from, read_settings
from resound.mixing.example import Example
from resound.mixing.identity import settings_of

USUAL_EXAMPLES = 100
N_OTHERS = 2  # arguments of noises that name one


def cases_of_split(
    model: str,
    config: str | None,
    overrides: Sequence[str],
    n_examples: int | None,
    tell: Callable[[str], None],
    n_jobs: int,
) -> tuple[list[Case], str]:
    """Return the examples of a split, and which they are.

    ``config`` is a YAML for mixing, a training's YAML or preset, or None: then the model is a run, and has its own.
    Raises `ConfigError`.
    """
    if config is None and not (Path(model) / "config.yaml").is_file():
        raise ConfigError(
            f"{model}: nothing to judge it on; give --clean DIR --degraded DIR, or --config MIX.yaml (runs have theirs)"
        )
    where = config or str(Path(model) / "config.yaml")
    mixing: Common
    if _is_mixing(where):
        values = read_settings(Path(where), overrides)
        for key in ("doctor", "denoiser"):
            values.pop(key, None)
        mixing = mixing_from(values, where)
        n = n_examples or USUAL_EXAMPLES
        told = f"{n} examples of {where}, split {getattr(mixing, 'split', None)}, seed {mixing.seed}"
    else:
        mixing, n, told = _of_training(where, overrides, n_examples, tell)
    tell(f"mixes {told}, where they are not there already")
    examples = open_cache(mixing, n, n_jobs=n_jobs)
    return list(cases_of_cache(examples, partial(described, speakers=speakers_of(settings_of(mixing))))), told


def _is_mixing(where: str) -> bool:
    path = Path(where)
    if path.suffix.lower() not in (".yaml", ".yml"):
        return False
    return not read_yaml(path).keys() & {"preset", "network"}


def _of_training(
    where: str, overrides: Sequence[str], n_examples: int | None, tell: Callable[[str], None]
) -> tuple[Common, int, str]:
    """Return the validation split of a training, in mixtures that have chosen no checkpoint."""
    with train_extra():
        from resound.training.config import load_run_config
        from resound.training.evaluate import MOST_EXAMPLES, TIMES_MORE
        from resound.training.fresh import n_in_split, with_fresh_examples
        from resound.training.judge import jobs_for
        from resound.training.prepared import prepare
    config = load_run_config(where, overrides)
    n = n_examples or max(TIMES_MORE * config.validation.n_examples, min(n_in_split(config), MOST_EXAMPLES))
    fresh = with_fresh_examples(config, n)
    for plan in fresh.prepared_plans[1:]:
        prepare(plan, tell, jobs_for(plan.n_examples))
    mixing = fresh.validation_mixing
    return mixing, n, f"{n} fresh examples of the split {mixing.split} of {where}, seed {mixing.seed}"


def described(example: Example, speakers: Mapping[str, str]) -> dict[str, str]:
    """Return what the recipe of an example says of it: domain, speaker, kind of noise."""
    clean = example.recipe.get("clean")
    speaker = speakers.get(str(clean.get("file")), "") if isinstance(clean, dict) else ""
    told = {"domain": example.domain, "speaker": speaker, "noise": _noise_of(example.recipe.get("chain", []))}
    return {key: text for key, text in told.items() if text}


def speakers_of(settings: Any) -> dict[str, str]:
    """Return who speaks in each recording, by its path, of all manifests that settings name."""
    if isinstance(settings, str) and settings.endswith(".jsonl"):
        manifest = read_manifest(Path(settings))
        return {str(manifest.path_of(one)): one.speaker for one in manifest.recordings if one.speaker}
    parts = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    return {path: speaker for part in parts for path, speaker in speakers_of(part).items()}


def _noise_of(chain: Sequence[dict[str, Any]]) -> str:
    """Return the file of the noise that was mixed in, else the names of the degradations."""
    for step in chain:
        for options in step.values():
            file = options.get("file") if isinstance(options, dict) else None
            if file:
                return Path(str(file)).parent.name
    names = [name for step in chain for name, options in step.items() if isinstance(options, dict)]
    return " + ".join(names[:N_OTHERS]) + (" ..." if len(names) > N_OTHERS else "")
