"""Adversarial training: two steps a batch, each of its own network; a stop changes nothing; sets are prepared once."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.checkpoint import load_model  # noqa: E402
from resound.corpora.manifest import read_manifest  # noqa: E402
from resound.errors import ConfigError, InputError, OutputError, TrainingError  # noqa: E402
from resound.mixing.items import ItemMaker  # noqa: E402
from resound.training import fit  # noqa: E402
from resound.training.config import load_run_config  # noqa: E402
from resound.training.fit import train  # noqa: E402
from resound.training.keeper import read_state  # noqa: E402
from resound.training.prepared import prepare  # noqa: E402
from resound.training.regenerate import OF_DISCRIMINATORS, balance_of  # noqa: E402
from resound.training.session import Session  # noqa: E402
from resound.training.tasks import task_of  # noqa: E402
from training.conftest import RATE, losses_of  # noqa: E402

TINY = {"sample_rate": RATE, "widths": [6, 8], "strides": [4, 5], "kernel": 5, "gru_layers": 1}
SETTINGS = {
    "task": "regenerate",
    "network": "timbre",
    "config": TINY,
    "data": {
        "prepare": {
            "n_examples": 12,
            "validation_examples": 4,
            "denoiser": {"with": "classic"},
            "mixing": {
                "clean": {"corpus": "<speech>", "domain": "speech"},
                "chain": [{"noise": {"bank": "<noise>", "snr_db": [0, 10]}}],
                "segment_seconds": 1,
            },
        },
        "inputs": ["denoised", "degraded"],
        "segment_seconds": 0.5,
    },
    "validation": {"n_examples": 4, "data": {"segment_seconds": 1}},
    "loss": [{"kind": "l1", "weight": 1.5}, {"kind": "multi_stft", "weight": 5}],
    "adversarial": {"from_step": 4, "lr": 2e-3, "discriminators": {"n_scales": 1, "periods": [2, 3], "width": 0.05}},
    "training": {"steps": 8, "batch_size": 2, "validate_every": 4, "workers": 0, "device": "cpu", "threads": 1},
    "checkpoints": {"metric": "lsd"},
    "tracker": "none",
    "n_listen": 0,
}


@pytest.fixture
def plan(tmp_path, corpora):
    def make(*words):
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(SETTINGS))
        return load_run_config(str(path), words, corpora=corpora)

    return make


@pytest.fixture
def task(plan):
    """A task with a batch, without a trainer."""
    config = plan("adversarial.from_step=0")
    torch.manual_seed(0)
    return task_of(fit.initial_network(config), config)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return {
        "degraded": 0.1 * torch.randn(2, 2, 2000, generator=generator),
        "clean": 0.1 * torch.randn(2, 1, 2000, generator=generator),
        "bandwidth_hz": torch.full((2,), RATE / 2),
        "index": torch.arange(2),
        "epoch": torch.zeros(2, dtype=torch.int64),
    }


def rows_of(folder):
    header, *rows = [row.split(",") for row in (folder / "steps.csv").read_text().splitlines()]
    return [dict(zip(header, map(float, row), strict=True)) for row in rows]


def weights_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def is_same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_each_step_changes_its_own_network_alone(tmp_path, plan, shown, monkeypatch):
    from resound.training.regenerate import Regenerate

    changed = []

    def watched(name):
        original = getattr(Regenerate, name)

        def step(self, *arguments):
            before = weights_of(self.network), weights_of(self.discriminators)
            original(self, *arguments)
            after = weights_of(self.network), weights_of(self.discriminators)
            changed.append((self.n_steps, name, *(not is_same(*pair) for pair in zip(before, after, strict=True))))
            assert all(parameter.requires_grad for parameter in self.network.parameters())

        return step

    for name in ("discriminator_step", "generator_step"):
        monkeypatch.setattr(Regenerate, name, watched(name))
    train(plan("training.steps=6"), tmp_path / "run", shown)
    warm_up = [(step, "generator_step", True, False) for step in range(4)]
    both = [[(step, "discriminator_step", False, True), (step, "generator_step", True, False)] for step in (4, 5)]
    assert changed == warm_up + both[0] + both[1]


def test_memory_that_runs_out_is_told_with_the_batch_that_fits(tmp_path, plan, shown, monkeypatch):
    from resound.training.regenerate import Regenerate

    def short(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Regenerate, "generator_step", short)
    with pytest.raises(TrainingError, match=r"at batch_size 2; training.batch_size=1 fits$"):
        train(plan("adversarial.from_step=0"), tmp_path / "run", shown)


def test_losses_norms_and_balance_are_logged_from_the_first_adversarial_step_on(tmp_path, plan, shown):
    train(plan(), tmp_path / "run", shown)
    rows = rows_of(tmp_path / "run")
    for row in rows:
        is_adversarial = row["step"] > 4
        assert all(math.isfinite(row[name]) == is_adversarial for name in OF_DISCRIMINATORS)
        expected = 1.5 * row["l1"] + 5 * row["multi_stft"]
        if is_adversarial:
            expected += 1.8 * row["adversarial"] + 2 * row["feature_matching"]
            assert 0 <= row["share_right"] <= 1
            assert row["discriminator_grad_norm"] > 0
        assert row["loss"] == pytest.approx(expected, rel=1e-5)
        assert row["grad_norm"] > 0


def test_the_discriminators_have_a_rate_of_their_own_on_the_same_schedule(tmp_path, plan, shown):
    config = plan("schedule.kind=cosine", "training.steps=6")
    train(config, tmp_path / "run", shown)
    state = read_state(tmp_path / "run/checkpoints/last-000006/state.pt")
    generator, discriminators = (optimiser["param_groups"][0]["lr"] for optimiser in state["optimisers"])
    assert 0 < generator < config.optimiser.lr
    assert discriminators == pytest.approx(2 * generator)


@pytest.mark.parametrize(
    ("stopped_at", "way"),  # before, at and after the end of the warm-up
    [(2, []), (4, []), (5, ["ema=0.9"]), (5, ["adversarial.kind=hinge", "training.workers=2"])],
)
def test_a_run_that_was_stopped_goes_on_as_if_nothing_had_happened(tmp_path, plan, shown, monkeypatch, stopped_at, way):
    config = plan(*way)
    train(config, tmp_path / "whole", shown)
    original = Session._reason_to_stop
    with monkeypatch.context() as patch:
        patch.setattr(
            Session,
            "_reason_to_stop",
            lambda self, step, trainer: "asked" if step == stopped_at else original(self, step, trainer),
        )
        assert not train(config, tmp_path / "stopped", shown).is_finished
    train(config, tmp_path / "stopped", shown, resume=True)
    one, other = ((tmp_path / name / "steps.csv").read_text() for name in ("whole", "stopped"))
    assert one == other
    one, other = (read_state(tmp_path / name / "checkpoints/last-000008/state.pt") for name in ("whole", "stopped"))
    assert is_same(one["network"], other["network"])
    assert any(name.startswith("discriminators.") for name in one["network"])
    for ours, theirs in zip(one["optimisers"], other["optimisers"], strict=True):
        assert all(is_same(ours["state"][key], theirs["state"][key]) for key in ours["state"])


def test_the_running_mean_of_the_generator_alone_is_kept(tmp_path, plan, shown):
    train(plan("ema=0.9"), tmp_path / "run", shown)
    last = tmp_path / "run/checkpoints/last-000008"
    kept, state = load_model(last).state_dict(), read_state(last / "state.pt")["network"]
    assert is_same(kept, {name: state[f"averaged.{name}"] for name in kept})
    assert not is_same(kept, {name: state[f"network.{name}"] for name in kept})


def test_the_log_has_the_denoisers_output_and_the_noisy_input_beside_the_model(tmp_path, plan, shown):
    outcome = train(plan(), tmp_path / "run", shown)
    baselines = json.loads((tmp_path / "run/baselines.json").read_text())
    assert set(baselines) == {"unprocessed", "noisy", "silence", "classic", "fixed_filter", "oracle_mask"}
    assert baselines["unprocessed"]["overall"]["si_sdr_i"]["mean"] == 0
    assert baselines["noisy"]["overall"]["si_sdr_i"]["mean"] != 0
    told = next(line for line in shown.lines if line.startswith("step 4"))
    assert "dB LSD" in told
    assert "the denoiser's output" in told
    assert "the noisy input" in told
    best = json.loads((tmp_path / "run/checkpoints.json").read_text())["best"]
    assert best[0]["value"] == min(validation["lsd"] for validation in outcome.validations)


def test_both_inputs_are_kept_to_listen_to(tmp_path, plan, shown, corpora):
    own = corpora[0].parent / "e1.wav"
    train(plan(f"listen=[{own}]", "n_listen=1", "training.steps=1"), tmp_path / "run", shown)
    listen = tmp_path / "run/listen"
    assert {f"example-0_{side}.flac" for side in ("clean", "degraded", "denoised")} < {
        path.name for path in listen.iterdir()
    }
    denoised, degraded = (soundfile.read(listen / f"e1_{side}.flac")[0] for side in ("denoised", "degraded"))
    assert denoised.shape == degraded.shape
    assert not np.allclose(denoised, degraded, atol=1e-3)


@pytest.mark.parametrize("side", ["clean", "degraded"])
def test_a_loss_that_is_no_number_ends_it_with_the_examples_named(tmp_path, plan, shown, monkeypatch, side):
    original = fit.ExampleDataset.__getitem__

    def spoilt(self, key):
        example = original(self, key)
        if key == (0, 11):
            example[side][..., 5] = float("nan")
        return example

    monkeypatch.setattr(fit.ExampleDataset, "__getitem__", spoilt)
    with pytest.raises(TrainingError, match=r"step 5: the discriminators' loss is no number \(example 11 of epoch 0\)"):
        train(plan(), tmp_path / "run", shown)
    with pytest.raises(TrainingError, match=r"step 5: the loss is no number \(example 11 of epoch 0\)"):
        train(plan("adversarial.from_step=6"), tmp_path / "other", shown)


def test_the_balance_counts_places_on_their_right_side():
    real, fake = (torch.tensor([[0.9, 0.4]]),), (torch.tensor([[0.1, 0.2]]),)
    balance = balance_of(real, fake, 0.5)
    assert balance == pytest.approx({"score_real": 0.65, "score_fake": 0.15, "share_right": 0.75})


def test_what_is_above_a_recordings_bandwidth_is_not_judged(task, batch):
    estimate = batch["degraded"][:, :1]
    hiss = 0.1 * torch.sin(torch.arange(2000) * (2 * math.pi * 3000 / RATE))
    for bandwidth_hz, is_heard in ((2000.0, False), (4000.0, True)):
        batch["bandwidth_hz"] = torch.full((2,), bandwidth_hz)
        real, without = task.sides(batch, estimate)
        same, with_hiss = task.sides(batch, estimate + hiss)
        assert torch.equal(real, same)
        assert torch.allclose(with_hiss, without, atol=1e-3) != is_heard  # its phase is rounded


def test_recordings_are_judged_at_one_level_and_what_is_made_relative_to_them(task, batch):
    batch["clean"] *= torch.tensor([1.0, 0.1])[:, None, None]
    real, fake = task.sides(batch, 0.5 * batch["clean"])
    assert torch.allclose(real.square().mean(dim=-1), torch.ones(2, 1))
    assert torch.allclose(fake, 0.5 * real)
    batch["clean"] *= 0
    assert all(torch.isfinite(side).all() for side in task.sides(batch, batch["clean"]))


def test_the_discriminators_learn_to_tell_a_recording_from_what_is_made(task, batch):
    optimiser = task.optimiser_of(task.discriminators)
    optimiser.param_groups[0]["lr"] = 1e-2
    batch["clean"] = (0.1 * torch.sin(torch.arange(2000) * 0.3)).expand(2, 1, -1)
    losses, shares = [], []
    for _ in range(40):
        loss, balance = task.telling_apart(batch, batch["degraded"][:, :1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        shares.append(balance["share_right"])
    assert losses[-1] < 0.8 * losses[0]
    assert shares[-1] > max(shares[0], 0.6)


WRONG = {
    "adversarial=null": "task regenerate needs discriminators; write 'adversarial: {}'",
    "task=enhance": "adversarial is for task regenerate, this one is enhance",
    "training.accumulate=2": "task regenerate makes its steps itself",
    "training.n_devices=2": "on one device",
    "loss=two_stage": "",
    "adversarial.kind=wasserstein": "adversarial.kind: ",
    "adversarial.wieght=1": "did you mean 'weight'",
    "adversarial.discriminators={n_scales: 0, periods: []}": "n_scales is 0 and periods are",
}


@pytest.mark.parametrize("word", WRONG)
def test_settings_that_make_no_sense_are_one_line(plan, word):
    with pytest.raises(ConfigError) as caught:
        plan(word)
    assert WRONG[word] in str(caught.value)
    assert "\n" not in str(caught.value)


WRONG_DATA = {
    "data.inputs=[degraded]": "data: has no denoised side",
    "data.inputs=[denoised]": "data.inputs: are 1 channels, the network takes 2",
    "data.segment_seconds=2": "data.segment_seconds: is 2, prepared are 1 s",
    "data.prepare.mixing.sample_rate=16000": "data.prepare.mixing.sample_rate: is 16000 Hz",
    "data.prepare.denoiser=null": "data.prepare.denoiser: is missing",
    "data.prepare.count=3": "data.prepare: count: no such setting",
}


@pytest.mark.parametrize("word", WRONG_DATA)
def test_data_that_do_not_fit_are_one_line(plan, word):
    config = plan(word)
    with pytest.raises(ConfigError) as caught:
        config.mixing  # noqa: B018
    assert WRONG_DATA[word] in str(caught.value)


def test_the_denoisers_output_alone_may_be_given(tmp_path, plan, shown):
    words = ["config.n_channels=1", "data.inputs=[denoised]", "training.steps=4"]
    train(plan(*words), tmp_path / "run", shown)
    baselines = json.loads((tmp_path / "run/baselines.json").read_text())
    assert "noisy" not in baselines


def test_a_set_is_prepared_once_and_found_again(tmp_path, plan, shown):
    config = plan(f"data.prepare.folder={tmp_path / 'sets'}", "training.steps=1")
    train(config, tmp_path / "one", shown)
    made = [line for line in shown.lines if line.startswith("prepares")]
    assert [line.split(", once")[0] for line in made] == [
        "prepares 12 examples (train) through classic",
        "prepares 4 examples (valid) through classic",
    ]
    folders = [line.rpartition(": ")[2] for line in made]
    assert [len(read_manifest(Path(folder) / "manifest.jsonl").recordings) for folder in folders] == [36, 12]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "sets").rglob("*.*")}
    shown.lines.clear()
    train(config, tmp_path / "two", shown)
    assert not [line for line in shown.lines if line.startswith("prepares")]
    assert [line for line in shown.lines if "12 prepared examples (train) are there" in line]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "sets").rglob("*.*")} == before
    assert losses_of(tmp_path / "one") == losses_of(tmp_path / "two")


def test_other_settings_or_another_split_make_another_set(plan):
    folders = [[prepared.folder for prepared in plan(*words).prepared_plans] for words in (
        [], ["data.prepare.mixing.seed=3"], ["data.prepare.denoiser.max_delay_seconds=0.2"],
        ["data.prepare.mixing.segment_seconds=0.9"],
    )]  # fmt: skip
    assert len({folder for pair in folders for folder in pair}) == 8
    assert plan("data.segment_seconds=0.4").prepared_plans[0].folder == folders[0][0]  # the crops are not the set
    assert plan().mixing.split == "train"
    assert plan().validation_mixing.split == "valid"


def test_sets_of_material_without_splits_differ_all_the_same(plan):
    one, other = plan().prepared_plans
    assert (one.mixing.seed, other.mixing.seed) == (0, 1)


def test_a_preparation_that_was_stopped_goes_on(tmp_path, plan, shown, monkeypatch):
    [prepared, _] = plan(f"data.prepare.folder={tmp_path / 'sets'}").prepared_plans
    original = ItemMaker.__call__

    def stopped(self, job):
        if job.index == 7:
            raise KeyboardInterrupt
        return original(self, job)

    with monkeypatch.context() as patch:
        patch.setattr(ItemMaker, "__call__", stopped)
        with pytest.raises(KeyboardInterrupt):
            prepare(prepared, shown.line)
    prepare(prepared, shown.line)
    assert ", once, 7 of them are there already" in shown.lines[1]
    assert len(list((prepared.folder / "denoised").iterdir())) == 12


def test_examples_that_cannot_be_prepared_are_told(tmp_path, plan, shown, monkeypatch):
    from resound.mixing.items import Outcome

    [_, prepared] = plan(f"data.prepare.folder={tmp_path / 'sets'}").prepared_plans
    original = ItemMaker.__call__
    monkeypatch.setattr(
        ItemMaker, "__call__", lambda self, job: Outcome(job.index, error="x") if job.index else original(self, job)
    )
    with pytest.raises(InputError, match="3 of 4 examples could not be made, the last because: x; the same command"):
        prepare(prepared, shown.line)


def test_a_run_folder_in_use_is_told_before_anything_is_prepared(tmp_path, plan, shown):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        train(plan(f"data.prepare.folder={tmp_path / 'sets'}"), tmp_path / "run", shown)
    assert not (tmp_path / "sets").exists()


def test_the_space_for_the_discriminators_is_counted(task):
    from resound.training.keeper import Keeper

    keeper = Keeper(None, "lsd", 3)
    n_beside = sum(parameter.numel() for parameter in task.discriminators.parameters())
    assert keeper.needed_bytes(task.network, task.beside) - keeper.needed_bytes(task.network) == 2 * 3 * 4 * n_beside


def test_examples_that_chose_nothing_are_another_prepared_set(plan):
    from resound.training.fresh import n_in_split, with_fresh_examples

    config = plan()
    fresh = with_fresh_examples(config, 6)
    before, now = config.prepared_plans[1], fresh.prepared_plans[1]
    assert now.folder != before.folder
    assert (now.n_examples, now.mixing.split) == (6, "valid")
    assert now.mixing.seed != before.mixing.seed
    assert fresh.validation.n_examples == 6
    assert n_in_split(config) == 8  # four recordings of 2.5 s in segments of 1 s
