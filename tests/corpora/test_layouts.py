"""Layouts: miniature trees with the names of the published corpora, and what is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from conftest import hiss
from resound.corpora.manifest import Recording
from resound.corpora.scan import Scanned, ScanOptions, scan
from resound.errors import ConfigError, InputError


def make(folder: Path, *names: str, seconds: float = 0.2) -> Path:
    """Write tiny recordings below ``folder``, and return it."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, hiss(round(8000 * seconds)).T, 8000)
    return folder


def by_path(scanned: Scanned) -> dict[str, Recording]:
    return {item.path: item for item in scanned.manifest.recordings}


def scanned_as(folder: Path, layout: str, **options: object) -> dict[str, Recording]:
    """Scan, check that the layout was recognised, and return the recordings by path."""
    found = scan(folder, ScanOptions(**options))
    assert found.layout.name == layout
    assert found.manifest.about["layout"] == layout
    return by_path(found)


def test_aishell1_has_speakers_and_its_own_splits(tmp_path):
    make(
        tmp_path / "data_aishell" / "wav",
        *("train/S0002/BAC009S0002W0122.wav", "dev/S0724/BAC009S0724W0121.wav", "test/S0764/BAC009S0764W0121.wav"),
    )
    found = scanned_as(tmp_path, "aishell1")
    assert [(item.speaker, item.split) for item in found.values()] == [
        ("S0724", "valid"), ("S0764", "test"), ("S0002", "train"),
    ]  # fmt: skip
    assert {(item.language, item.licence, item.domain) for item in found.values()} == {("zh", "Apache-2.0", "speech")}


def test_aishell3_is_split_by_speaker_because_its_own_parts_share_speakers(tmp_path):
    parts = [
        f"{part}/wav/SSB{speaker:04d}/SSB{speaker:04d}0001.wav" for speaker in range(40) for part in ("train", "test")
    ]
    found = scanned_as(make(tmp_path / "aishell3", *parts), "aishell3", valid_percent=30)
    splits = {}
    for item in found.values():
        splits.setdefault(item.speaker, set()).add(item.split)
    assert len(splits) == 40
    assert all(len(own) == 1 for own in splits.values())
    assert {split for own in splits.values() for split in own} == {"train", "valid"}


def test_vctk_080_and_092_differ_in_microphones_and_licence(tmp_path):
    old = scanned_as(make(tmp_path / "a", "wav48/p225/p225_001.wav"), "vctk")
    assert [(item.speaker, item.group, item.role, item.licence) for item in old.values()] == [
        ("p225", None, None, "ODC-By 1.0")
    ]
    names = [f"wav48_silence_trimmed/{who}/{who}_001_mic{mic}.flac" for who in ("p225", "s5") for mic in (1, 2)]
    new = scanned_as(make(tmp_path / "b", *names), "vctk")
    assert [(item.speaker, item.group, item.role, item.licence) for item in new.values()] == [
        ("p225", "p225_001", "mic1", "CC BY 4.0"), ("p225", "p225_001", "mic2", "CC BY 4.0"),
        ("s5", "s5_001", "mic1", "CC BY 4.0"), ("s5", "s5_001", "mic2", "CC BY 4.0"),
    ]  # fmt: skip


@pytest.mark.parametrize("below", ["LibriSpeech/", ""])
def test_librispeech_has_readers_and_its_own_splits(tmp_path, below):
    names = ("train-clean-100/103/1240/103-1240-0000.flac", "dev-other/116/288045/116-288045-0000.flac")
    found = scanned_as(make(tmp_path, *(f"{below}{name}" for name in names)), "librispeech")
    assert {item.speaker: item.split for item in found.values()} == {"103": "train", "116": "valid"}


def test_a_part_of_librispeech_is_expected_whole(tmp_path):
    folder = make(tmp_path / "dev-clean", "84/121123/84-121123-0000.flac")
    found = scan(folder, ScanOptions())
    assert (found.layout.name, found.ledger.expected) == ("librispeech", 2703)
    with pytest.raises(InputError, match=r"1 of 2703 recordings can be used; .*--allow-partial"):
        found.ledger.check(folder)


LIBRIMIX = [
    f"Libri2Mix/wav8k/min/{part}/{folder}/{name}.wav"
    for part, name in (("train-100", "103-1240-0003_1235-135887-0017"), ("test", "4077-13754-0001_5142-33396-0065"))
    for folder in ("mix_clean", "mix_both", "s1", "s2", "noise")
]


def test_librimix_has_mixtures_and_the_speakers_of_their_sources(tmp_path):
    found = scanned_as(make(tmp_path, *LIBRIMIX), "librimix")
    train = {item.role: item for item in found.values() if item.split == "train"}
    assert {role: (item.domain, item.speaker) for role, item in train.items()} == {
        "mixture": ("pairs", None), "noisy_mixture": ("pairs", None), "noise": ("noise", None),
        "source1": ("speech", "103"), "source2": ("speech", "1235"),
    }  # fmt: skip
    assert len({item.group for item in train.values()}) == 1
    assert {item.group for item in found.values() if item.split == "test"}.isdisjoint(
        {item.group for item in train.values()}
    )
    assert {item.licence for item in found.values() if item.role in ("noise", "noisy_mixture")} == {"CC BY-NC 4.0"}
    assert {item.licence for item in found.values() if item.role in ("source1", "mixture")} == {"CC BY 4.0"}


def test_of_mixtures_speech_is_only_what_is_clean(tmp_path):
    make(tmp_path, *LIBRIMIX)
    assert {item.role for item in scanned_as(tmp_path, "librimix", domain="speech").values()} == {"source1", "source2"}
    assert {item.role for item in scanned_as(tmp_path, "librimix", domain="noise").values()} == {"noise"}
    assert len(scanned_as(tmp_path, "librimix", domain="pairs")) == len(LIBRIMIX)


def test_each_folder_of_librimix_is_expected_whole(tmp_path):
    found = scan(make(tmp_path, *LIBRIMIX), ScanOptions(domain="speech"))
    assert found.ledger.expected == 2 * 13_900 + 2 * 3_000


def test_wsj0_2mix_keeps_the_closed_condition_and_says_so(tmp_path):
    name = "01aa010b_0.97482_209a010p_-0.97482"
    names = [
        f"2speakers/wav8k/min/{part}/{folder}/{name}.wav" for part in ("tr", "cv") for folder in ("mix", "s1", "s2")
    ]
    found = scan(make(tmp_path, *names), ScanOptions())
    assert found.layout.name == "wsj0-mix"
    told = {(item.split, item.role): (item.domain, item.speaker) for item in found.manifest.recordings}
    assert told["train", "mixture"] == told["valid", "mixture"] == ("pairs", None)
    assert told["train", "source1"] == told["valid", "source1"] == ("speech", "01a")
    assert told["train", "source2"] == ("speech", "209")
    assert found.ledger.expected == 3 * 20_000 + 3 * 5_000
    assert any("2 speakers are in several splits" in warning for warning in found.warnings)


def test_voicebank_demand_pairs_by_name_and_takes_validation_out_of_train(tmp_path):
    speakers = [f"p{number}" for number in range(226, 246)]
    names = [f"{side}_trainset_28spk_wav/{who}_001.wav" for who in speakers for side in ("clean", "noisy")]
    names += [f"{side}_testset_wav/p232_001.wav" for side in ("clean", "noisy")]
    found = scanned_as(make(tmp_path, *names), "voicebank-demand", valid_percent=25)
    groups = {}
    for item in found.values():
        groups.setdefault(item.group, {})[item.role] = item
    assert len(groups) == len(names) // 2
    assert all(pair.keys() == {"clean", "degraded"} for pair in groups.values())
    assert all(pair["clean"].split == pair["degraded"].split for pair in groups.values())
    assert groups["test/p232_001"]["clean"].split == "test"
    assert {item.split for item in found.values()} == {"train", "valid", "test"}
    assert {item.domain for item in found.values() if item.role == "degraded"} == {"pairs"}


def test_dns_challenge_knows_kinds_languages_and_readers(tmp_path):
    found = scanned_as(
        make(
            tmp_path / "datasets_fullband",
            "clean_fullband/read_speech/book_00000_chp_0009_reader_06709_0_seg_1.wav",
            "clean_fullband/german_speech/M-AILABS_Speech_Dataset/de_DE_190hrs/by_book/female/ramona/b/wavs/b_01.wav",
            "clean_fullband/emotional_speech/crema_d/1001_DFA_ANG_XX.wav",
            "clean_fullband/VocalSet_48kHz_mono/male3_scales_c_a.wav",
            "clean_fullband/vctk_wav48_silence_trimmed/p225/p225_001_mic1.flac",
            "noise_fullband/-2Ys4Mrt_38.wav",
            "impulse_responses/SLR26/simulated_rirs_48k/smallroom/Room001/Room001-00001.wav",
            "dev_testset_fullband/noreverb_fileid_1.wav",
            "dev_testset_fullband/synthetic/clean/clean_fileid_7.wav",
            "dev_testset_fullband/synthetic/noisy/x_snr15_tl-21_fileid_7.wav",
        ),
        "dns-challenge",
    )
    told = {path.split("/")[-1][:9]: (item.domain, item.speaker, item.language) for path, item in found.items()}
    assert told == {
        "book_0000": ("speech", "read_speech/06709", "en"), "b_01.wav": ("speech", "german_speech/ramona", "de"),
        "1001_DFA_": ("speech", "emotional_speech/1001", "en"), "-2Ys4Mrt_": ("noise", None, None),
        "male3_sca": ("music", "VocalSet_48kHz_mono/male3", None), "Room001-0": ("room", None, None),
        "p225_001_": ("speech", "vctk_wav48_silence_trimmed/p225", "en"), "noreverb_": ("pairs", None, None),
        "clean_fil": ("speech", None, None), "x_snr15_t": ("pairs", None, None),
    }  # fmt: skip
    real, clean, noisy = [item for path, item in found.items() if "testset" in path]
    assert {item.split for item in (real, clean, noisy)} == {"test"}
    assert (clean.role, noisy.role, real.group) == ("clean", "degraded", None)
    assert clean.group == noisy.group is not None
    folder = tmp_path / "datasets_fullband" / "dev_testset_fullband"
    assert {item.split for item in scanned_as(folder, "dns-challenge").values()} == {"test"}


def test_musicnet_keeps_the_movements_of_a_piece_together(tmp_path):
    names = [f"train_data/{number}.wav" for number in range(1727, 1747)]
    make(tmp_path / "musicnet", *names, "test_data/2303.wav")
    rows = ["id,composer,composition,movement", *(f"{1727 + i},Schubert,Quintet {i // 4},{i}" for i in range(20))]
    (tmp_path / "musicnet_metadata.csv").write_text("\n".join(rows))
    found = scanned_as(tmp_path, "musicnet", valid_percent=40)
    assert found["musicnet/test_data/2303.wav"].split == "test"
    splits = {}
    for item in found.values():
        if item.group:
            splits.setdefault(item.group, set()).add(item.split)
    assert len(splits) == 5
    assert all(len(own) == 1 for own in splits.values())
    assert {item.domain for item in found.values()} == {"music"}


def test_fsd50k_has_splits_and_licences_of_its_lists(tmp_path):
    make(tmp_path, "FSD50K.dev_audio/64760.wav", "FSD50K.dev_audio/16399.wav", "FSD50K.eval_audio/37199.wav")
    (tmp_path / "FSD50K.ground_truth").mkdir()
    (tmp_path / "FSD50K.ground_truth/dev.csv").write_text(
        'fname,labels,mids,split\n64760,"Guitar,Music","/m/1,/m/2",train\n16399,Rain,/m/3,val\n'
    )
    (tmp_path / "FSD50K.metadata").mkdir()
    (tmp_path / "FSD50K.metadata/dev_clips_info_FSD50K.json").write_text(
        '{"64760": {"license": "http://creativecommons.org/licenses/by-nc/3.0/"},'
        ' "16399": {"license": "http://creativecommons.org/publicdomain/zero/1.0/"}}'
    )
    found = scanned_as(tmp_path, "fsd50k")
    assert {path.split("/")[1]: (item.split, item.licence, item.domain) for path, item in found.items()} == {
        "64760.wav": ("train", "CC BY-NC 3.0", "effects"),
        "16399.wav": ("valid", "CC0 1.0", "effects"),
        "37199.wav": ("test", "CC BY 4.0", "effects"),
    }


def test_esc50_is_split_by_its_folds_or_anew_by_source(tmp_path):
    names = [f"audio/{fold}-{100000 + fold}-{take}-0.wav" for fold in range(1, 6) for take in "AB"]
    make(tmp_path, *names)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/esc50.csv").write_text("filename,fold,target,esc10\n1-100001-A-0.wav,1,0,True\n")
    found = scanned_as(tmp_path, "esc50")
    assert {item.path[6]: item.split for item in found.values()} == {
        "1": "train", "2": "train", "3": "train", "4": "valid", "5": "test"
    }  # fmt: skip
    assert found["audio/1-100001-A-0.wav"].licence == "CC BY 3.0"
    assert found["audio/1-100001-B-0.wav"].licence == "CC BY-NC 3.0"
    anew = scanned_as(tmp_path, "esc50", keep_own_splits=False, valid_percent=50)
    assert all(
        anew[f"audio/{n}-10000{n}-A-0.wav"].split == anew[f"audio/{n}-10000{n}-B-0.wav"].split for n in range(1, 6)
    )


def test_musan_has_three_domains_and_what_its_annotations_say(tmp_path):
    make(
        tmp_path / "musan",
        *("speech/librivox/speech-librivox-0000.wav", "speech/us-gov/speech-us-gov-0000.wav"),
        *("music/fma/music-fma-0000.wav", "music/fma/music-fma-0001.wav", "noise/free-sound/noise-free-sound-0000.wav"),
    )
    (tmp_path / "musan/speech/librivox/ANNOTATIONS").write_text("speech-librivox-0000 f japanese\n")
    (tmp_path / "musan/music/fma/ANNOTATIONS").write_text(
        "music-fma-0000 pop,rock Y Some One\nmusic-fma-0001 jazz N Some One\n"
    )
    found = scanned_as(tmp_path, "musan")
    assert {path.split("/")[-1]: (item.domain, item.language, item.group) for path, item in found.items()} == {
        "speech-librivox-0000.wav": ("speech", "ja", None),
        "speech-us-gov-0000.wav": ("speech", None, None),
        "music-fma-0000.wav": ("music", None, "fma/Some One"),
        "music-fma-0001.wav": ("music", None, "fma/Some One"),
        "noise-free-sound-0000.wav": ("noise", None, None),
    }
    assert scan(tmp_path / "musan", ScanOptions(domain="noise")).ledger.expected == 930


def test_gramophone_noise_with_its_list_has_its_splits_and_names_what_is_missing(tmp_path):
    make(tmp_path, "rec_1/seg_0.wav", "rec_1/seg_1.wav", "rec_2/seg_0.wav")
    (tmp_path / "info.csv").write_text(
        "recording,split,segments,largest_segment\n"
        "rec_1,train,\"['seg_0.wav', 'seg_1.wav']\",seg_0.wav\n"
        "rec_2,validation,\"['seg_0.wav', 'seg_7.wav']\",seg_0.wav\n"
    )
    found = scan(tmp_path, ScanOptions())
    assert found.layout.name == "gramophone-noise"
    assert {item.path: (item.split, item.group, item.domain) for item in found.manifest.recordings} == {
        "rec_1/seg_0.wav": ("train", "rec_1", "noise"),
        "rec_1/seg_1.wav": ("train", "rec_1", "noise"),
        "rec_2/seg_0.wav": ("valid", "rec_2", "noise"),
    }
    assert (found.ledger.expected, found.ledger.n_usable) == (4, 3)
    assert [(item.path, item.why) for item in found.ledger.unusable] == [("rec_2/seg_7.wav", "listed but missing")]


def test_gramophone_noise_without_its_list_is_split_by_record(tmp_path):
    names = [f"rec_{record}/seg_{segment}.wav" for record in range(12) for segment in range(3)]
    found = scanned_as(make(tmp_path / "Gramophone_Record_Noise_Dataset", *names), "gramophone-noise", valid_percent=30)
    for record in range(12):
        assert len({found[f"rec_{record}/seg_{segment}.wav"].split for segment in range(3)}) == 1
    assert {item.split for item in found.values()} == {"train", "valid"}


def test_rooms_of_openslr_are_not_torn_apart_and_noises_are_noise(tmp_path):
    names = [
        f"simulated_rirs/smallroom/Room{room:03d}/Room{room:03d}-0000{n}.wav" for room in range(20) for n in (1, 2)
    ]
    names += [
        "pointsource_noises/noise-free-sound-0000.wav",
        "real_rirs_isotropic_noises/RVB2014_type1_noise_largeroom1_1.wav",
    ]
    names += [f"real_rirs_isotropic_noises/RVB2014_type1_rir_largeroom1_far_angl{side}.wav" for side in "ab"]
    found = scanned_as(make(tmp_path / "RIRS_NOISES", *names), "rirs-noises", valid_percent=40)
    rooms = {}
    for item in found.values():
        if item.domain == "room":
            rooms.setdefault(item.group, set()).add(item.split)
    assert len(rooms) == 21
    assert all(len(splits) == 1 for splits in rooms.values())
    assert {path.split("/")[0] for path, item in found.items() if item.domain == "noise"} == {
        "pointsource_noises", "real_rirs_isotropic_noises"
    }  # fmt: skip


def test_a_folder_with_a_list_of_its_own_is_read_by_the_names_of_its_columns(tmp_path):
    make(tmp_path, "a/x.wav", "a/y.wav", "b/clean/1.wav", "b/noisy/1.wav", "extra.wav")
    (tmp_path / "manifest.csv").write_text(
        "File,Kind,Speaker_ID,lang,License,subset\n"
        "a/x.wav,speech_fullband,anna,en,CC0,train\na/y.wav,rir,,,,dev\n"
        f"{tmp_path}/b/clean/1.wav,pairs_clean,ben,de,,train\n"
        "b\\noisy\\1.wav,pairs_noisy,ben,de,,train\ngone.wav,music,,,,\n"
    )
    found = scan(tmp_path, ScanOptions())
    assert found.layout.name == "csv"
    told = {item.path: item for item in found.manifest.recordings}
    assert [(item.domain, item.speaker, item.language, item.licence, item.split) for item in told.values()] == [
        ("speech", "anna", "en", "CC0", "train"), ("room", None, None, None, "valid"),
        ("speech", "ben", "de", None, "train"), ("pairs", "ben", "de", None, "train"),
    ]  # fmt: skip
    assert told["b/clean/1.wav"].group == told["b/noisy/1.wav"].group == "b/1"
    assert (told["b/clean/1.wav"].role, told["b/noisy/1.wav"].role) == ("clean", "degraded")
    assert list(found.ledger.outside) == ["extra.wav"]
    assert [item.path for item in found.ledger.unusable] == ["gone.wav"]


@pytest.mark.parametrize(
    ("speaker_from", "speakers"),
    [
        (None, ["anna", "ben", None]),
        ("parent", ["day1", "ben", None]),
        ("file", ["one", "two", "three"]),
        ("none", [None, None, None]),
    ],
)
def test_speakers_of_a_plain_folder_come_from_where_one_says(tmp_path, speaker_from, speakers):
    make(tmp_path, "anna/day1/one_1.wav", "ben/wavs/two-1.wav", "three.wav")
    found = scanned_as(tmp_path, "plain", domain="speech", speaker_from=speaker_from)
    assert [found[path].speaker for path in ("anna/day1/one_1.wav", "ben/wavs/two-1.wav", "three.wav")] == speakers


def test_a_plain_folder_has_the_splits_that_its_folders_are_named_after(tmp_path):
    make(tmp_path, "train/anna/1.wav", "Test/ben/1.wav", "dev/carl/1.wav")
    found = scanned_as(tmp_path, "plain", domain="speech")
    assert {item.speaker: item.split for item in found.values()} == {"anna": "train", "ben": "test", "carl": "valid"}


def test_plain_pairs_belong_together_by_name(tmp_path):
    make(tmp_path, "clean/1.wav", "clean/2.wav", "noisy/1.wav", "noisy/2.wav")
    found = scanned_as(tmp_path, "plain", domain="pairs")
    assert {path: (item.group, item.role) for path, item in found.items()} == {
        "clean/1.wav": ("1", "clean"), "clean/2.wav": ("2", "clean"),
        "noisy/1.wav": ("1", "degraded"), "noisy/2.wav": ("2", "degraded"),
    }  # fmt: skip
    assert found["clean/1.wav"].split == found["noisy/1.wav"].split


def test_a_plain_folder_needs_to_be_told_what_it_holds(tmp_path):
    with pytest.raises(ConfigError, match="nothing says what it holds; give --as speech"):
        scan(make(tmp_path, "a.wav"), ScanOptions())


def test_an_unknown_layout_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"--layout librispeach: no such layout \(did you mean 'librispeech'"):
        scan(make(tmp_path, "a.wav"), ScanOptions(layout="librispeach"))


def test_a_layout_that_was_asked_for_and_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="of 1 recording none is of the layout vctk"):
        scan(make(tmp_path, "a.wav"), ScanOptions(layout="vctk"))


def test_what_is_asked_for_wins_where_a_corpus_holds_one_kind(tmp_path):
    found = scanned_as(make(tmp_path, "SSB0005/SSB00050001.wav"), "aishell3", domain="noise")
    assert [item.domain for item in found.values()] == ["noise"]


def test_no_known_layout_takes_any_folder_for_its_own(tmp_path):
    make(tmp_path / "recordings", "clean/a.wav", "train/1.wav", "audio/2.wav", "noise/3.wav", "p1/p1.wav")
    assert scan(tmp_path / "recordings", ScanOptions(domain="speech")).layout.name == "plain"
