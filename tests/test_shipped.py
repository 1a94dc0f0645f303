"""The networks that the package carries: whole, described, safe to trust, and what is said when they are not."""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml

import resound
from conftest import hiss, read_sound, write_wav
from resound import shipped
from resound.classic.chain import ClassicConfig
from resound.errors import ModelError
from resound.inference.models import find_model
from resound.inference.repaired_stream import RepairedStream
from resound.inference.streaming import Stream
from resound.metrics import si_sdr
from resound.shipped import CARD, FOLDER, RESTORING, SHIPPED, VERSION, card_of, explicit, file_of, folder_of
from signals import speech_like

LARGEST_MB = {"film": 3, "voice": 3, "separate": 16, "timbre": 3}
DATA = Path(os.environ.get("RESOUND_DATA", Path(__file__).parents[2] / "shared" / "data"))
each = pytest.mark.parametrize("name", SHIPPED)
each_that_restores = pytest.mark.parametrize("name", RESTORING)
HEARD = {"film": {"speech", "effects", "music"}, "voice": {"speech", "noise", "room"}, "separate": {"speech"}}
HEARD["timbre"] = HEARD["voice"]
BESIDE = {name: {name, "unprocessed", "classic", "noisereduce"} for name in RESTORING}
BESIDE |= {"separate": {"separate", "ideal mask"}}
BESIDE["timbre"] = {denoiser + then for denoiser in ("voice", "classic", "RNNoise") for then in ("", ", then timbre")}


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The package's folder of weights, to be spoilt."""
    shutil.copytree(FOLDER, tmp_path / "weights")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "weights")
    return tmp_path / "weights"


def before(name, sound):
    """What the network itself is given of a recording at 48 kHz."""
    after = card_of(name).network.after
    config = ClassicConfig.model_validate(after)
    return resound.restore(sound, 48_000, model="classic", config=config) if after else sound


def test_each_folder_is_a_name():
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(SHIPPED)


@each
def test_each_is_small_and_has_the_files_of_its_card(name):
    card = card_of(name)
    assert {path.name for path in (FOLDER / name).iterdir()} == {CARD, *card.files}
    for file in card.files:
        assert file_of(name, file).stat().st_size < LARGEST_MB[name] * 1e6
    assert folder_of(name) == FOLDER / name


@each
def test_each_card_says_what_it_learnt_from_and_what_it_is_worth(name):
    card = card_of(name)
    assert card.licence == "MIT" and card.limits and card.about and card.figures is not None
    assert {row.domain for row in card.data} >= HEARD[name]
    assert not [row for row in card.data if "UNVERIFIED" in row.licence or "NC" in row.licence.split()]
    systems = [row[0] for row in card.figures.rows]
    assert BESIDE[name] <= set(systems)
    assert all(len(row) == len(card.figures.columns) for row in card.figures.rows)


@each_that_restores
def test_recordings_and_streams_hear_the_same(name):
    sound = np.concatenate([hiss(24_000, rms=0.01), speech_like(2, 48_000)[None] + hiss(96_000, rms=0.01)], axis=1)
    stream = Stream(name, channels=1)
    live = np.concatenate([stream.process(before(name, sound)), stream.flush()], axis=1)[:, stream.latency_samples :]
    np.testing.assert_allclose(resound.restore(sound, 48_000, model=name), live, atol=1e-5)


@each_that_restores
@pytest.mark.parametrize("gain_db", [-40, -20, 6])
def test_each_hears_no_level(name, gain_db):
    sound = 0.3 * speech_like(2, 48_000, 3) + hiss(96_000, rms=0.005, seed=4)[0]
    gain = 10 ** (gain_db / 20)
    usual, other = (resound.restore(scale * sound, 48_000, model=name) for scale in (1.0, gain))
    assert np.abs(other / gain - usual).max() < 1e-3 * np.abs(usual).max()


@each_that_restores
def test_what_lies_above_its_band_is_kept(name):
    seconds = np.arange(2 * 96_000) / 96_000
    high = 0.1 * np.sin(2 * np.pi * 30_000 * seconds)
    restored = resound.restore(high, 96_000, model=name)
    assert si_sdr(restored[9_600:-9_600], high[9_600:-9_600]) > 60


@each_that_restores
def test_hiss_alone_goes(name):
    noise = hiss(5 * 48_000, rms=0.02, seed=6)
    restored = resound.restore(noise, 48_000, model=name)[:, 96_000:]
    assert 20 * np.log10(np.std(restored) / np.std(noise)) < -15


@each_that_restores
def test_torch_runs_the_same_network(name):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    network = resound.load(name)
    sound = (speech_like(2, 48_000, 5)[None] + hiss(96_000, rms=0.01)).astype(np.float32)
    with torch.inference_mode():
        ours = network(torch.from_numpy(before(name, sound)[None]))[0].numpy()
    np.testing.assert_allclose(resound.restore(sound.astype(float), 48_000, model=name), ours, atol=1e-4)


@each_that_restores
def test_a_training_and_an_adaptation_begin_with_its_name(name):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    from resound.training.adapt import check_model

    assert check_model(Path(name)).sample_rate == 48_000


def noisy_speech(seed=5):
    return 0.3 * speech_like(2, 48_000, seed) + hiss(96_000, rms=0.01, seed=seed)[0]


def test_what_is_repaired_is_the_same_in_a_stream():
    sound = noisy_speech()
    whole = resound.restore(sound, 48_000, model="voice", then="timbre")
    stream = RepairedStream(Stream("voice"), "timbre")
    live = np.concatenate([stream.process(sound[None]), stream.flush()], axis=1)[0, stream.latency_samples :]
    np.testing.assert_allclose(live, whole, atol=1e-5)
    assert np.std(whole - resound.restore(sound, 48_000, model="voice")) > 0.01 * np.std(whole)


def test_torch_repairs_by_the_same_network():
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    from resound.models.band_rnn import BandRNN

    network = resound.load("timbre")
    assert isinstance(network, BandRNN)  # not the generator whose kind is called so
    noisy = noisy_speech()
    denoised = resound.restore(noisy, 48_000, model="classic")
    with torch.inference_mode():
        ours = network(torch.from_numpy(np.stack([denoised, noisy])[None].astype(np.float32)))[0, 0].numpy()
    np.testing.assert_allclose(resound.repair(denoised, noisy, 48_000), ours, atol=1e-4)


@pytest.mark.parametrize("gain_db", [-40, -20, 6])
def test_what_repairs_hears_no_level(gain_db):
    noisy, gain = noisy_speech(), 10 ** (gain_db / 20)
    denoised = resound.restore(noisy, 48_000, model="classic")
    usual, other = (resound.repair(scale * denoised, scale * noisy, 48_000) for scale in (1.0, gain))
    assert np.abs(other / gain - usual).max() < 1e-3 * np.abs(usual).max()


def test_what_repairs_restores_nothing_by_itself(tmp_path, resound):
    write_wav(tmp_path / "a.wav", hiss(8000))
    ended = resound("restore", tmp_path / "a.wav", "--model", "timbre")
    assert (ended.status, ended.stdout) == (1, "")
    assert (
        "timbre: repairs what another model makes; use it with 'resound restore --model voice --then timbre'"
        in ended.stderr
    )
    ended = resound("separate", tmp_path / "a.wav", "--model", "timbre")
    assert "timbre: gives one source; use it with 'resound restore'" in ended.stderr
    assert len(list(tmp_path.iterdir())) == 1


def run_without_torch(folder, *words):
    """Run a command, and hold that it loaded onnxruntime and not torch."""
    code = (
        f"import sys; sys.argv = {['resound', *words]}\n"
        "from resound.cli.main import main\ntry:\n    main()\nfinally:\n"
        "    assert 'onnxruntime' in sys.modules and 'torch' not in sys.modules"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_restoring_needs_no_torch(tmp_path):
    write_wav(tmp_path / "a.wav", hiss(8000))
    run_without_torch(tmp_path, "restore", "a.wav", "--model", "voice", "--then", "timbre")
    assert json.loads((tmp_path / "a_restored.wav.json").read_text())["is_generative"]


def test_auto_is_film_where_no_stage_of_the_chain_is_chosen(tmp_path, monkeypatch, resound):
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "a.wav", hiss(8000))
    (tmp_path / "film").mkdir()  # what is called like it is not meant
    for words, stages in (
        ([], ["declick", "dehiss", "film"]),
        (["--only", "dehum"], ["dehum"]),
        (["--skip", "declick"], ["dehiss", "film"]),
        (["--set", "dehiss.max_reduction_db=12"], ["declick", "dehum", "dehiss"]),
        (["--max-reduction", "6"], ["declick", "film"]),
    ):
        (report,) = json.loads(resound("restore", "a.wav", "-o", "b.wav", "--overwrite", *words, "--json").stdout)
        assert list(report["report"]["stages"]) == stages
    assert Stream("auto").latency_samples == Stream(file_of("film")).latency_samples


def test_what_runs_before_a_network_is_its_own_to_set(tmp_path, resound):
    write_wav(tmp_path / "a.wav", hiss(8000))
    for number, words in enumerate((["--skip", "declick"], ["--set", "declick.max_click_seconds=0.003"])):
        ended = resound("restore", tmp_path / "a.wav", "-o", tmp_path / f"{number}.wav", "--model", "film", *words)
        assert ended.status == 0, ended.stderr
    without, with_setting = (json.loads((tmp_path / f"{number}.wav.json").read_text()) for number in (0, 1))
    assert list(without["stages"]) == ["dehiss", "film"]
    assert with_setting["parameters"]["settings"]["declick"]["max_click_seconds"] == 0.003
    ended = resound("restore", tmp_path / "a.wav", "--model", "film", "--skip", "declick", "--skip", "dehum")
    assert "model 'film' is a network and heeds those of declick, dehiss alone: leave --only" in ended.stderr


def test_the_card_is_shown(resound):
    ended = resound("models", "show", "voice")
    assert ended.status == 0
    for text in ("MIT", "73,358 parameters", "librispeech", "RNNoise", "What it cannot do"):
        assert text in ended.stdout
    told = [line for line in ended.stdout.splitlines() if not line.startswith("  resound train")]  # to be copied whole
    assert max(map(len, told)) < 160


def test_the_card_is_shown_as_json(resound):
    shown = json.loads(resound("models", "show", "voice", "--json").stdout)
    assert shown == card_of("voice").model_dump(mode="json")


def test_without_torch_those_that_ship_are_listed(resound, monkeypatch):
    monkeypatch.setattr("resound.cli.models._has_torch", lambda: False)
    ended = resound("models")
    assert ended.status == 0
    assert [line.split()[:2] for line in ended.stdout.splitlines()[1:]] == [[name, "band_rnn"] for name in SHIPPED]
    assert "pip install 'resound[train]'" in ended.stderr


def test_a_missing_file_is_told(copied):
    (copied / "voice" / "voice.onnx").unlink()
    with pytest.raises(ModelError, match=r"'voice': voice.onnx of the package cannot be read \(No such file"):
        find_model("voice")


def test_an_altered_file_is_told(copied):
    with open(copied / "voice" / "voice.onnx", "r+b") as handle:
        handle.seek(500_000)
        handle.write(b"\x00\x01\x02\x03")
    with pytest.raises(ModelError, match=r"not the file that its card describes \(SHA-256 differs\); install resound"):
        Stream("voice")


DAMAGED = {
    "empty": lambda card: "",
    "a list": lambda card: "[]",
    "almost nothing": lambda card: "card: 1",
    "cut off": lambda card: "{",
    "very deep": lambda card: 20_000 * "[",
    "no files": lambda card: yaml.safe_dump({**card, "files": {}}),
    "files of no kind": lambda card: yaml.safe_dump({**card, "files": None}),
    "no limits": lambda card: yaml.safe_dump({key: card[key] for key in card if key != "limits"}),
    "a date": lambda card: yaml.safe_dump({**card, "made": date(2026, 11, 26)}),
    "ragged figures": lambda card: yaml.safe_dump(
        {**card, "figures": {"told": "", "columns": ["a", "b"], "rows": [["1"]], "command": ""}}
    ),
    "version of no kind": lambda card: yaml.safe_dump({**card, "card": "two"}),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("words", [["restore", "a.wav", "--model", "voice"], ["models", "show", "voice"]])
def test_a_damaged_card_is_told(copied, tmp_path, monkeypatch, resound, damage, words):
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "a.wav", hiss(8000))
    (copied / "voice" / CARD).write_text(DAMAGED[damage](yaml.safe_load((FOLDER / "voice" / CARD).read_text())))
    ended = resound(*words)
    told = "resound: model 'voice': its card.yaml is missing or damaged; install resound again\n"
    assert (ended.status, ended.stdout, ended.stderr) == (1, "", told)


def test_a_damaged_card_hides_no_other_network(copied, resound):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    (copied / "voice" / CARD).write_text("")
    ended = resound("models")
    assert ended.status == 0 and "demucs48" in ended.stdout
    assert ended.stderr == "resound: model 'voice': its card.yaml is missing or damaged; install resound again\n"


def test_a_card_without_figures_says_so(copied, resound):
    card = yaml.safe_load((copied / "voice" / CARD).read_text())
    (copied / "voice" / CARD).write_text(yaml.safe_dump({**card, "figures": None}))
    assert "Quality: these weights have not been measured yet." in resound("models", "show", "voice").stdout


def test_a_newer_card_is_told(copied):
    card = yaml.safe_load((copied / "voice" / CARD).read_text())
    (copied / "voice" / CARD).write_text(yaml.safe_dump({**card, "card": VERSION + 1}))
    with pytest.raises(ModelError, match=rf"of version {VERSION + 1}, this resound reads {VERSION}; update resound"):
        find_model("voice")


def test_a_folder_of_the_same_name_is_never_mistaken_for_it(tmp_path, monkeypatch, resound):
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "a.wav", hiss(8000))
    (tmp_path / "voice").mkdir()
    ended = resound("restore", "a.wav", "--model", "voice")
    assert ended.status == 1
    assert "voice: is a network that resound ships, and something of that name is here; give /" in ended.stderr
    assert "something of that name is here" in resound("models", "show", "voice").stderr
    assert "voice: no model.json" in resound("restore", "a.wav", "--model", tmp_path / "voice").stderr


def test_a_path_is_a_path(tmp_path, monkeypatch, resound):
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "a.wav", hiss(8000))
    assert "model './voice' is not known" in resound("restore", "a.wav", "--model", "./voice").stderr
    for word in ("./voice", "voice/"):
        assert explicit(word) == tmp_path / "voice"
    assert explicit("voice") == Path("voice") and explicit("a/voice") == Path("a/voice")


@pytest.mark.parametrize(
    ("model", "told"), [("voise", "did you mean 'voice'?"), ("", "name is empty"), (3, "no model")]
)
def test_a_stream_of_no_model_is_told(model, told):
    with pytest.raises(ModelError, match=re.escape(told)):
        Stream(model)


def test_a_file_of_its_name_is_pointed_at_it():
    with pytest.raises(
        ModelError, match=r"voice.onnx: no such model file; give 'voice' for the network that ships, or the path"
    ):
        find_model("voice.onnx")


def test_an_empty_name_is_no_folder():
    with pytest.raises(ModelError, match="the model's name is empty"):
        find_model("")


@pytest.mark.parametrize("words", [["--only", "dehum"], ["--skip", "dehum"], ["--set", "dehiss.max_reduction_db=6"]])
def test_stages_are_not_quietly_left_out(tmp_path, resound, words):
    write_wav(tmp_path / "a.wav", hiss(8000))
    ended = resound("restore", tmp_path / "a.wav", "--model", "voice", *words)
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert "model 'voice' is a network and has none: leave --only" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def two_who_speak(seconds=4, rate=16_000):
    return np.stack([speech_like(seconds, rate, seed) for seed in (7, 8)])


def test_separating_needs_no_torch_and_loses_nothing(tmp_path):
    mixture = 0.5 * two_who_speak().sum(axis=0)
    write_wav(tmp_path / "a.wav", mixture[None], rate=16_000, subtype="FLOAT")
    run_without_torch(tmp_path, "separate", "a.wav")
    voices = [read_sound(tmp_path / f"a_{number}.wav") for number in (1, 2)]
    np.testing.assert_allclose(sum(voices)[0], mixture, atol=1e-6)


def test_torch_separates_alike():
    pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    mixture = two_who_speak().sum(axis=0)
    ours, theirs = (resound.separate(mixture, 16_000, model) for model in ("separate", folder_of("separate")))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("gain_db", [-40, 6])
def test_separating_hears_no_level(gain_db):
    mixture = 0.3 * two_who_speak().sum(axis=0) + hiss(64_000, rms=0.005, seed=4)[0]
    gain = 10 ** (gain_db / 20)
    usual, other = resound.separate(mixture, 16_000), resound.separate(gain * mixture, 16_000)
    assert np.abs(other / gain - usual).max() < 1e-3 * np.abs(usual).max()


def test_what_separates_restores_nothing():
    with pytest.raises(ModelError, match="gives each voice of a recording by itself; use it with 'resound separate'"):
        find_model("separate")
    with pytest.raises(ModelError, match="cannot stream; 'resound separate' runs it"):
        Stream("separate")


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder")
def test_voice_brings_noisy_speech_nearer_to_the_clean():
    from resound.audio.segments import read_excerpt

    gains = []
    for path in sorted(DATA.glob("pairs/valentini/noisy/*.flac"))[::4]:
        noisy, clean = (
            read_excerpt(each, 16_000, n_samples=4 * 16_000)
            for each in (path, DATA / "pairs/valentini/clean" / path.name)
        )
        restored = resound.restore(noisy.astype(float), 16_000, model="voice")
        gains.append(si_sdr(restored[0], clean[0]) - si_sdr(noisy[0], clean[0]))
    assert np.mean(gains) > 3
