"""``resound adapt`` with what is wrong: one line that says so, and nothing is left."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from conftest import files_below, hiss, write_wav  # noqa: E402
from resound.checkpoint import save_model  # noqa: E402
from resound.models import build  # noqa: E402
from signals import speech_like  # noqa: E402
from training.conftest import RATE, TINY  # noqa: E402

WRONG = {
    "": "nothing to adapt to",
    "--model start": "nothing to adapt to",
    "film.wav": "give some with --corpus",  # film is what it begins with
    "film.wav --model nothing": "nothing: no such model",
    "nothing.wav --model start": "nothing.wav: no such file",
    "film.wav --model voices": "does not denoise by itself",
    "--clean clean --model start": "give both",
    "film.wav --clean clean --degraded clean --model start": "leave out recordings",
    "--clean clean --degraded nothing --model start": "nothing: is no folder",
    "--clean clean --degraded clean --model start": "have 1 name in common; give at least 3 pairs",
    "film.wav --corpus nothing.jsonl --model start": "nothing.jsonl: no such file",
    "film.wav --model start": "give some with --corpus",  # for it has no noise
    "--clean clean3 --degraded late --model start": "DATA02",
    "pauses.wav --model start": "pauses.wav: has 5 segments of 3 s with sound, too little",
    "film.wav --model start -o clean": "clean: exists already",
}


@pytest.fixture
def laid_out(here):
    for name, n_sources in (("start", 1), ("voices", 2)):
        save_model(here / name, build("conv_tasnet", **TINY, n_sources=n_sources), title=name)
    (here / "clean").mkdir()
    short = [part for seed in range(4) for part in (speech_like(2.5, RATE, seed=seed), np.zeros(int(1.5 * RATE)))]
    write_wav(here / "pauses.wav", np.concatenate(short) + hiss(16 * RATE, rms=0.01)[0], rate=RATE)
    for seed in range(5):
        speech = speech_like(6.2, RATE, seed=seed)
        write_wav(here / f"clean3/{seed}.wav", speech, rate=RATE)
        write_wav(here / f"late/{seed}.wav", np.concatenate([np.zeros(160), speech])[: len(speech)], rate=RATE)
    for path in ("film.wav", "clean/a.wav"):
        write_wav(here / path, 0.1 * np.sin(np.arange(4 * RATE)), rate=RATE)
    return here


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_is_told_in_one_line(words, laid_out, resound):
    before = files_below(laid_out)
    ended = resound("adapt", *words.split())
    assert ended.status == 1, ended
    assert ended.stdout == ""
    *_, line = ended.stderr.splitlines()
    assert line.startswith("resound: ")
    assert WRONG[words] in line
    assert files_below(laid_out) == before


def test_what_others_made_beside_it_stays(tmp_path):
    from resound.training.adapt import nothing_left

    def fail(name):
        with pytest.raises(ValueError), nothing_left(tmp_path / "adapted" / name):
            (tmp_path / "adapted" / name).mkdir(parents=True)
            if name == "a":
                (tmp_path / "adapted/b/run").mkdir(parents=True)
            raise ValueError

    fail("a")
    assert {path.name for path in (tmp_path / "adapted").iterdir()} == {"b"}
