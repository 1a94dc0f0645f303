"""``resound train`` with what is wrong: one line that says so, and nothing is left."""

import json
import os
import shutil
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

import resound as package  # noqa: E402
from conftest import files_below, write_wav  # noqa: E402
from training.conftest import caches_of_their_own, corpora, write_plan  # noqa: E402, F401


@pytest.fixture
def refused(here, resound):
    """Return a function that runs ``resound train``, which must refuse, and gives the line that it says why."""

    def run(*words):
        before = files_below(here)
        ended = resound("train", *words)
        assert ended.status == 1, ended
        assert ended.stdout == ""
        *told, line = ended.stderr.splitlines()
        assert not told
        assert line.startswith("resound: ")
        assert files_below(here) == before
        return line.removeprefix("resound: ")

    return run


WRONG_WORDS = {
    "training.step=5": "did you mean 'steps'?",
    "trainig.steps=5": "did you mean 'training'?",
    "training.steps=many": "training.steps",
    "training.steps=0": "training.steps",
    "training.batch_size=2.5": "training.batch_size",
    "training.workers=-1": "training.workers",
    "training.precision=16": "training.precision",
    "training.device=tpu": "training.device",
    "optimiser.lr=-1": "optimiser.lr",
    "optimiser=adam": "optimiser",
    "schedule.kind=cosin": "cosine",
    "data.segment_seconds=0": "segment_seconds",
    "data.segment_seconds=-1": "segment_seconds",
    "data.segment_second=1": "did you mean 'segment_seconds'?",
    "data.sample_rate=16000": "the network has 8000",
    "config.n_filter=8": "did you mean 'n_filters'?",
    "network=conv_tasnett": "did you mean 'conv_tasnet'?",
    "checkpoints.keep=0": "checkpoints.keep",
    "checkpoints.metric=si_sdri": "did you mean 'si_sdr_i'?",
    "checkpoints.metric=pesq": "not measured",
    "validation.n_examples=0": "validation.n_examples",
    "loss=[]": "loss",
    "loss.0.weight=-1": "loss.0.weight: input",
    "loss.0.wieght=1": "loss.0.wieght: no such setting (did you mean 'weight'?)",
    "loss=snrr": "loss: input should be 'two_stage'",
    "training=5": "training: input",
    "training.seed=99999999999999999999999": "training.seed",
    "corpora=5": "corpora: input",
    "optimiser.betas=[1.5,2]": "optimiser.betas.0",
    "loss=two_stage": "is for the network two_stage_unet",
    "loss=[{kind: snr, weight: 0}]": "weight",
    "loss=[{kind: srn}]": "did you mean 'snr'?",
    "ema=1": "ema",
    "training": "training",
    "initial=nowhere": "nowhere",
    "listen=[nowhere.wav]": "nowhere.wav",
    "training.n_devices=0": "training.n_devices",
}


@pytest.mark.parametrize("word", WRONG_WORDS)
def test_a_wrong_word_is_told_with_its_place(here, corpora, refused, word):  # noqa: F811
    line = refused(write_plan(here), "--corpus", corpora[0], "-o", "run", word)
    assert WRONG_WORDS[word] in line


def test_a_wrong_preset_is_told_with_the_nearest(refused):
    assert "did you mean 'gatewave'?" in refused("gatewav")


def test_a_preset_without_recordings_says_how_to_give_them(refused):
    assert "<speech> is missing; give manifests with --corpus" in refused("gatewave", "--quick")


def test_missing_noise_is_told_by_its_name(here, write_corpus, refused):
    from signals import speech_like

    speech = write_corpus("voices", {"a": speech_like(2, 8000, seed=1)}, split="train", bandwidth_hz=4000.0)
    assert "<noise> is missing" in refused(write_plan(here), "--corpus", speech, "-o", "run")


@pytest.mark.parametrize(
    ("name", "content"),
    [("nowhere.jsonl", None), ("empty.jsonl", ""), ("text.jsonl", "hello\n"), ("list.jsonl", "[1, 2]\n")],
)
def test_a_manifest_that_is_none_is_told(here, refused, name, content):
    if content is not None:
        (here / name).write_text(content)
    assert name in refused(write_plan(here), "--corpus", name, "-o", "run")


def test_a_corpus_without_recordings_is_told(here, refused):
    from resound.corpora.manifest import Manifest, write_manifest

    write_manifest(here / "none.jsonl", Manifest(here, []))
    assert "is missing; give manifests" in refused(write_plan(here), "--corpus", "none.jsonl", "-o", "run")


def test_recordings_without_a_validation_part_are_told(here, corpora, refused):  # noqa: F811
    lines = corpora[0].read_text().replace('"valid"', '"train"')
    (corpora[0].parent / "all.jsonl").write_text(lines)
    line = refused(write_plan(here), "--corpus", corpora[0].parent / "all.jsonl", "-o", "run")
    assert "valid" in line


def test_a_plan_of_ones_own_has_no_quick_form(here, corpora, refused):  # noqa: F811
    assert "has no quick form" in refused(write_plan(here), "--quick", "--corpus", corpora[0], "-o", "run")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "\x00", "loss: 3\n"])
def test_a_plan_that_is_none_is_told(here, refused, text):
    (here / "plan.yaml").write_text(text)
    assert "plan.yaml" in refused("plan.yaml")


def test_a_plan_that_is_missing_is_told(refused):
    assert "nowhere.yaml" in refused("nowhere.yaml")


def test_a_file_that_has_the_runs_name_is_left_alone(here, corpora, refused):  # noqa: F811
    (here / "run").write_text("mine")
    assert "a file has that name" in refused(write_plan(here), "--corpus", corpora[0], "-o", "run")
    assert (here / "run").read_text() == "mine"


def test_a_folder_that_exists_is_left_alone(here, corpora, refused):  # noqa: F811
    (here / "run").mkdir()
    (here / "run/mine").touch()
    assert "exists already" in refused(write_plan(here), "--corpus", corpora[0], "-o", "run")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_is_told(here, corpora, refused):  # noqa: F811
    (here / "locked").mkdir(mode=0o555)
    assert "not writable" in refused(write_plan(here), "--corpus", corpora[0], "-o", "locked/run")


def test_to_go_on_takes_a_run(here, corpora, refused):  # noqa: F811
    plan = write_plan(here)
    assert "is no run's folder" in refused(plan, "--corpus", corpora[0], "--resume")
    assert "holds no run to go on with" in refused(plan, "--corpus", corpora[0], "--resume", "-o", "nowhere")
    (here / "folder").mkdir()
    assert refused("folder", "--resume") == "folder: holds no run to go on with; give the folder of one"
    assert "holds no run to go on with" in refused("folder", "--resume", "-o", "folder")


def test_one_manifest_may_stand_for_one_kind(here, corpora):  # noqa: F811
    from resound.training.config import load_run_config

    config = load_run_config(str(write_plan(here)), [f"corpora.noise={corpora[0]}"], corpora=corpora)
    assert config.corpora["noise"] == [corpora[0]]


def test_help_does_not_wait_for_torch(here):
    code = (
        "import sys; from resound.cli import main; sys.argv = ['resound', 'train', '--help']\n"
        "try: main.main()\nfinally: print('torch' in sys.modules, 'lightning' in sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.split() == ["False", "False"]
    assert "--resume" in ran.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory, corpora):  # noqa: F811
    """Two short runs: one that enhances, one that separates."""
    from resound.training.config import load_run_config
    from resound.training.fit import train
    from training.conftest import Silent

    root = tmp_path_factory.mktemp("runs")
    for task in ("enhance", "separate"):
        words = ["training.steps=4", "training.validate_every=2", "n_listen=0"]
        config = load_run_config(str(write_plan(root, task)), words, corpora=corpora)
        train(config, root / task, Silent())
    return root


def best_of(run):
    return run / json.loads((run / "checkpoints.json").read_text())["best"][0]["folder"]


def test_a_run_goes_on_by_its_folder_alone_and_says_what_changed(here, runs, resound):
    shutil.copytree(runs / "enhance", here / "run")
    ended = resound("train", "run", "--resume", "training.steps=6")
    assert ended.status == 0
    assert "goes on from step 4, with training.steps: 4 there, 6 now" in ended.stderr
    assert ended.stdout.startswith("run  6 steps")


def test_a_run_that_would_be_another_one_is_refused(here, runs, refused):
    shutil.copytree(runs / "enhance", here / "run")
    line = refused("run", "--resume", "training.steps=6", "optimiser.lr=0.5")
    assert "was begun with other settings: optimiser.lr: 0.001 there, 0.5 now" in line
    assert "has made its 4 steps" in refused("run", "--resume")


def test_a_damaged_run_is_told(here, runs, refused):
    shutil.copytree(runs / "enhance", here / "run")
    (here / "run/checkpoints/last-000004/state.pt").write_bytes(b"PK damaged")
    told = refused("run", "--resume", "training.steps=6")
    assert "state.pt: is damaged; restore it" in told and told.endswith("initial=run")
    (here / "run/checkpoints.json").write_text("{")
    assert "checkpoints.json: cannot be read" in refused("run", "--resume", "training.steps=6")


def test_a_run_stands_for_its_best_checkpoint(runs):
    loaded, best = package.load(runs / "enhance"), package.load(best_of(runs / "enhance"))
    assert all(torch.equal(value, best.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_recordings_are_restored_and_separated_with_a_run(here, runs, resound):
    write_wav(here / "noisy.wav")
    assert resound("restore", "noisy.wav", "--model", runs / "enhance", "-o", "by_run.wav").status == 0
    assert resound("restore", "noisy.wav", "--model", best_of(runs / "enhance"), "-o", "by_best.wav").status == 0
    assert (here / "by_run.wav").read_bytes() == (here / "by_best.wav").read_bytes()
    assert resound("separate", "noisy.wav", "--model", runs / "separate").status == 0
    assert (here / "noisy_2.wav").exists()
    assert resound("models", "show", runs / "enhance").status == 0


def test_the_mean_of_the_best_comes_first_where_it_is_kept(here, runs):
    from resound.checkpoint import model_folder

    run = here / "run"
    shutil.copytree(runs / "enhance", run)
    listed = json.loads((run / "checkpoints.json").read_text())
    (run / "checkpoints.json").write_text(json.dumps(listed | {"average": "average"}))
    assert model_folder(run) == run / "average"
    (run / "checkpoints.json").write_text(json.dumps(listed | {"best": []}))
    assert model_folder(run) == run / listed["last"]


def test_a_run_without_a_checkpoint_is_no_model(here, runs, resound):
    run = here / "run"
    shutil.copytree(runs / "enhance", run)
    (run / "checkpoints.json").write_text("{}")
    write_wav(here / "noisy.wav")
    assert "give one of the checkpoints' folders" in resound("restore", "noisy.wav", "--model", run).stderr
    (run / "checkpoints.json").unlink()
    assert "is a run without a checkpoint so far" in resound("restore", "noisy.wav", "--model", run).stderr


def test_another_kind_of_schedule_or_loss_takes_its_own_settings_alone(corpora):  # noqa: F811
    from resound.training.config import load_run_config

    words = ["schedule.warmup_steps=7", "schedule.kind=cosine", "loss.0.kind=l1"]
    config = load_run_config("waveunet", words, corpora=corpora)
    assert config.schedule.kind == "cosine" and config.schedule.warmup_steps == 7
    assert [term.kind for term in config.loss] == ["l1", "multi_stft"]
    config = load_run_config("timbre-report", ["adversarial.kind=hinge"], corpora=corpora)
    usual = load_run_config("timbre-report", corpora=corpora).adversarial
    assert config.adversarial == usual.model_copy(update={"kind": "hinge"})


def test_a_run_that_is_under_way_elsewhere_is_left_alone(here, runs, refused):
    from resound.training.fit import in_it_alone

    shutil.copytree(runs / "enhance", here / "run")
    with in_it_alone(here / "run"):
        assert refused("run", "--resume", "training.steps=6").startswith("run: another process trains there")


def test_what_a_run_notes_of_its_sessions_may_be_damaged(here, runs, resound):
    shutil.copytree(runs / "enhance", here / "run")
    (here / "run/run.json").write_text("{")
    assert resound("train", "run", "--resume", "training.steps=6").status == 0
    assert len(json.loads((here / "run/run.json").read_text())["sessions"]) == 1


def test_a_run_does_not_go_on_with_other_recordings(here, runs, refused):
    shutil.copytree(runs / "enhance", here / "run")
    told = json.loads((here / "run/run.json").read_text())
    (manifest,) = told["material"]
    (here / "run/run.json").write_text(json.dumps(told | {"material": {manifest: "other"}}))
    line = refused("run", "--resume", "training.steps=6")
    assert line.startswith(f"run: was begun with other recordings: {manifest} changed since; bring them back")
