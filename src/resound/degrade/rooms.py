"""Makes a bank of simulated room responses: shoebox rooms of drawn sizes, by the image-source method.

A room is a box with walls of one material; the absorption for the drawn reverberation time comes from Sabine's
formula.  Image sources are displaced at random by up to 8 cm, which takes away the sweeping echoes of perfect boxes
(De Sena et al. 2015), and the air absorbs treble.  pyroomacoustics computes them (the extra ``sim``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.audio.atomic import atomic_file, check_free, discard
from resound.audio.files import open_plain_writer
from resound.corpora.manifest import Manifest, Recording, write_manifest
from resound.degrade.degradation import Audio
from resound.dsp.reverberation import direct_sample, direct_to_reverberant_db, rt60_seconds
from resound.errors import ConfigError

MANIFEST, DETAILS = "rooms.jsonl", "rooms.json"
SAMPLE_RATES_HZ = (8000, 192000)
SIZES_M = ((2.5, 12.0), (2.2, 9.0), (2.2, 4.5))  # from a booth to a classroom
RT60_SECONDS = (0.15, 1.2)
DISTANCE_M = (0.3, 4.0)
FROM_WALLS_M = 0.4  # of talker and microphone
HIGHEST_ORDER = 100  # of reflections; more takes seconds a room
LARGEST_ABSORPTION = 0.9  # of the energy; beyond it Sabine's formula has left its range
BEFORE_SECONDS = 0.005  # the direct sound comes so long after a file's start
TAIL_DB = 70.0  # below its beginning a response ends


@dataclass(frozen=True)
class RoomPlan:
    """One room before it is simulated; lengths in metres."""

    size_m: tuple[float, float, float]
    talker_m: tuple[float, float, float]
    microphone_m: tuple[float, float, float]
    rt60_seconds: float
    absorption: float  # of energy, by all walls
    order: int  # of reflections

    @property
    def distance_m(self) -> float:
        """From talker to microphone."""
        return float(np.linalg.norm(np.subtract(self.talker_m, self.microphone_m)))


def make_rooms(
    folder: Path,
    n_rooms: int,
    *,
    seed: int = 0,
    sample_rate: int = 48000,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda n_done: None,
) -> Manifest:
    """Write ``n_rooms`` responses (FLAC, 24 bit), a manifest and their parameters into a folder; return the manifest.

    The manifest, `MANIFEST`, is written last: without it the bank is not whole; where
    it does not come to that, what was written is removed.  `DETAILS` holds for each file what
    was asked for and what came out: reverberation time, direct sound over reflections, the direct sound's sample.
    Raises `ConfigError` where pyroomacoustics is absent, `OutputError`.
    """
    _check(n_rooms, seed, sample_rate)
    simulator = _simulator()
    for name in (MANIFEST, DETAILS):
        check_free(folder / name, overwrite=overwrite)
    if overwrite:
        discard(folder / MANIFEST)  # from now on the earlier bank is not whole
    with ExitStack() as unfinished:  # what is taken away again if this does not come to its end
        manifest = _write_rooms(folder, n_rooms, seed, sample_rate, simulator, overwrite, progress, unfinished)
        unfinished.pop_all()
    return manifest


def _check(n_rooms: int, seed: int, sample_rate: int) -> None:
    if n_rooms < 1:
        raise ConfigError(f"count: {n_rooms} rooms make no bank; give 1 or more")
    if seed < 0:
        raise ConfigError(f"seed: {seed} is negative; give 0 or more")
    low_hz, high_hz = SAMPLE_RATES_HZ
    if not low_hz <= sample_rate <= high_hz:
        raise ConfigError(f"sample rate: {sample_rate} Hz cannot be simulated; give {low_hz} to {high_hz}")


def _write_rooms(
    folder: Path,
    n_rooms: int,
    seed: int,
    sample_rate: int,
    simulator: Any,
    overwrite: bool,
    progress: Callable[[int], None],
    written: ExitStack,
) -> Manifest:
    """Write a bank, the removal of each file onto ``written``."""
    details: dict[str, Any] = {}
    recordings = []
    for index in range(n_rooms):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        plan = draw_room(rng)
        response = simulate(plan, sample_rate, simulator, seed=int(rng.integers(2**31)))
        name = f"room-{index:05}.flac"
        _write(folder / name, response, sample_rate, overwrite=overwrite)
        written.callback(discard, folder / name)
        recordings.append(
            Recording(name, response.shape[1], sample_rate, domain="room", licence="CC0-1.0", group=name[:-5])
        )
        details[name] = describe(plan, response[0], sample_rate)
        progress(index + 1)
    with atomic_file(folder / DETAILS, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(details, indent=1) + "\n", encoding="utf-8")
    written.callback(discard, folder / DETAILS)
    manifest = Manifest(folder, recordings, {"corpus": "simulated rooms", "domain": "room", "seed": seed})
    write_manifest(folder / MANIFEST, manifest, overwrite=overwrite)
    return manifest


def draw_room(rng: np.random.Generator) -> RoomPlan:
    """Return a room that can be: its reverberation time fits its size, and both people stand inside, apart."""
    import pyroomacoustics

    low, high = np.log(RT60_SECONDS)
    while True:
        size = np.array([rng.uniform(*ends) for ends in SIZES_M])
        rt60 = float(np.exp(rng.uniform(low, high)))
        talker, microphone = (rng.uniform(FROM_WALLS_M, size - FROM_WALLS_M) for _ in range(2))
        if not DISTANCE_M[0] <= np.linalg.norm(talker - microphone) <= DISTANCE_M[1]:
            continue
        try:
            absorption, order = pyroomacoustics.inverse_sabine(rt60, size)
        except ValueError:  # the walls would have to absorb more than all
            continue
        if absorption <= LARGEST_ABSORPTION and order <= HIGHEST_ORDER:
            order, absorption, rt60 = int(order), round(float(absorption), 4), round(rt60, 4)
            return RoomPlan(_point(size), _point(talker), _point(microphone), rt60, absorption, order)


def _point(metres: NDArray) -> tuple[float, float, float]:
    x, y, z = (round(float(part), 3) for part in metres)
    return x, y, z


def simulate(plan: RoomPlan, sample_rate: int, simulator: Any, *, seed: int) -> Audio:
    """Return the response ``(1, time)``, its peak at 0.9 and its direct sound `BEFORE_SECONDS` after the start."""
    simulator.random.seed(seed)
    room = simulator.ShoeBox(
        plan.size_m,
        fs=sample_rate,
        materials=simulator.Material(plan.absorption),
        max_order=plan.order,
        air_absorption=True,
        use_rand_ism=True,
        max_rand_disp=0.08,
    )
    room.add_source(plan.talker_m)
    room.add_microphone(plan.microphone_m)
    room.compute_rir()
    return place_direct(np.asarray(room.rir[0][0], np.float32)[np.newaxis], sample_rate)


def place_direct(response: Audio, sample_rate: int) -> Audio:
    """Return a response from `BEFORE_SECONDS` before its direct sound until it has fallen by `TAIL_DB`, peak 0.9."""
    before, direct = round(BEFORE_SECONDS * sample_rate), direct_sample(response, sample_rate)
    placed = np.pad(response, ((0, 0), (max(0, before - direct), 0)))[:, max(0, direct - before) :]
    energy = np.cumsum(np.square(placed[0, ::-1], dtype=np.float64))[::-1]
    end = int(np.count_nonzero(energy > energy[0] * 10 ** (-TAIL_DB / 10)))
    return placed[:, :end] * np.float32(0.9 / np.abs(placed).max())


def describe(plan: RoomPlan, response: Audio, sample_rate: int) -> dict[str, Any]:
    """Return what was asked for and what came out of ``(time,)``, plain JSON."""
    direct = direct_sample(response[np.newaxis], sample_rate)
    measured = rt60_seconds(response[direct:], sample_rate)
    return {
        **asdict(plan),
        "distance_m": round(plan.distance_m, 3),
        "measured_rt60_seconds": None if np.isnan(measured) else round(measured, 4),
        "direct_to_reverberant_db": round(direct_to_reverberant_db(response, sample_rate, direct), 2),
        "direct_sample": direct,
    }


def _write(path: Path, response: Audio, sample_rate: int, *, overwrite: bool) -> None:
    with open_plain_writer(
        path, sample_rate=sample_rate, n_channels=len(response), storage="int24", overwrite=overwrite
    ) as writer:
        writer.write(response.astype(np.float64))


def _simulator() -> Any:
    try:
        import pyroomacoustics
    except ImportError:
        raise ConfigError(
            "simulated rooms need pyroomacoustics, which is not installed; run: pip install 'resound[sim]'"
        ) from None
    return pyroomacoustics
