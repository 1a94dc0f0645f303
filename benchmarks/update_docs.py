"""Writes the parts of the documentation that are made by programs: measured tables, the table of settings, the picture.

Each part stands in a page between two comment lines, ``<!-- made by: NAME -->`` and ``<!-- end: NAME -->``; what is
between them is replaced.  ``settings``, ``degradations``, ``chains``, ``drawn``, ``layouts``, ``doctor`` and ``tested``
take no time, nor do ``parameters`` and ``facts-NETWORK``, which need torch; ``picture``, ``corpora`` and ``parity``
take seconds, ``vintage`` a minute or two, ``quality`` ten, ``speed`` ten, ``scan`` four, ``pairs`` ten, and ``memory``
half an hour.

    python benchmarks/update_docs.py settings degradations chains drawn layouts doctor tested
    python benchmarks/update_docs.py quality vintage picture --data ../shared/data
    python benchmarks/update_docs.py parameters facts-conv_tasnet facts-demucs
    python benchmarks/update_docs.py parity --data ../shared/parity
    python benchmarks/update_docs.py speed memory
    python benchmarks/update_docs.py settings --check       # changes nothing; exit status 1 where the page is behind
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from common import DEFAULT_DATA, need_folder, parser_for
from models_facts import NETWORKS, facts_text, parameters_text

if TYPE_CHECKING:
    from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "settings": "docs/classic.md",
    "degradations": "docs/degradations.md",
    "chains": "docs/degradations.md",
    "drawn": "docs/degradations.md",
    "quality": "docs/measurements.md",
    "vintage": "docs/measurements.md",
    "speed": "docs/measurements.md",
    "memory": "docs/measurements.md",
    "scan": "docs/measurements.md",
    "mixing": "docs/measurements.md",
    "degrade": "docs/measurements.md",
    "prepare": "docs/measurements.md",
    "mixtures": "docs/mixing.md",
    "layouts": "docs/corpora.md",
    "corpora": "docs/corpora.md",
    "parity": "docs/measurements.md",
    "doctor": "docs/doctor.md",
    "tested": "docs/doctor.md",
    "pairs": "docs/doctor.md",
    "parameters": "docs/measurements.md",
    **{f"facts-{network}": f"docs/networks/{network}.md" for network in NETWORKS},
}
SCRIPTS = {name: f"restore_{name}.py" for name in ("quality", "vintage", "speed", "memory")} | {
    "scan": "corpus_scan.py",
    "mixing": "mixing_speed.py",
    "degrade": "degrade_speed.py",
    "prepare": "prepare_speed.py",
    "mixtures": "mixing_real.py",
    "parity": "models_parity.py",
    "pairs": "doctor_pairs.py",
}
PICTURE_SOURCE = "vintage/edison_victor_discs/00694090_03-38_sung-phrase.flac"
PICTURE_TITLE = "edison_disc.flac"
PICTURE = "docs/images/edison_disc.png"
PICTURE_PIXELS, PICTURE_COLOURS, PICTURE_GREYS = 1000, 48, 8


def settings_text() -> str:
    """Return the tables of all settings of the classic chain, from the models themselves."""
    from resound.classic.chain import ClassicConfig

    parts = []
    for name, field in ClassicConfig.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and hasattr(model, "model_fields")):
            order = ", ".join(field.default)
            parts.append(f"`{name}`: `[{order}]`. {field.description[0].upper()}{field.description[1:]}.")
            continue
        rows = [
            f"| `{name}.{key}` | {shown(part.default)} | {limits(part.metadata)} | {part.description} |"
            for key, part in model.model_fields.items()
        ]
        parts.append("\n".join(["| setting | default | range | what it does |", "| --- | --- | --- | --- |", *rows]))
    return "\n\n".join(parts)


def degradations_text() -> str:
    """Return a table of all degradations, each with a link to its section."""
    from resound.degrade.catalogue import summary
    from resound.degrade.registry import DEGRADATIONS

    page_of = {name: page for page in sorted((ROOT / "docs/degradations").glob("*.md")) for name in names_on(page)}
    rows = [f"| [{name}](degradations/{page_of[name].name}#{name}) | {summary(name)} |" for name in DEGRADATIONS]
    return "\n".join(["| degradation | what it is |", "| --- | --- |", *rows])


def names_on(page: Path) -> list[str]:
    """Return the degradations that the build writes out on a page."""
    marks = re.findall(r"<!-- degradations: (.+) -->", page.read_text(encoding="utf-8"))
    return [name.strip() for mark in marks for name in mark.split(",")]


def chains_text() -> str:
    """Return a table of the chains that come with the package."""
    from resound.degrade.chain import chain_names, load_chain

    rows = [f"| [{name}](degradations/chains.md#{name}) | {load_chain(name).about} |" for name in chain_names()]
    return "\n".join(["| chain | what it is |", "| --- | --- |", *rows])


def drawn_text() -> str:
    """Return what ``resound degrade`` prints of a recording, with what it draws now."""
    from resound.cli.degrade import told
    from resound.degrade.chain import load_chain
    from resound.degrade.recording import Degraded, draw_draft

    draft = draw_draft(load_chain("film-1960s"), "film-1960s", seed=3)
    result = Degraded(Path("voice.film-1960s.flac"), 48000, 4.9, 0.5, "int24", [])
    command = "$ resound degrade voice.flac --chain film-1960s --seed 3 --params drawn.json"
    return f"```console\n{command}\n{told(draft, result)}\n```"


def layouts_text() -> str:
    """Return the table of layouts."""
    from resound.corpora.layouts import LAYOUTS

    rows = [
        f"| `{layout.name}` | {layout.about} | {', '.join(layout.domains)} | {layout.licence or ''} |"
        for layout in LAYOUTS.values()
    ]
    return "\n".join(["| layout | corpus | what it holds | licence |", "| --- | --- | --- | --- |", *rows])


def doctor_text() -> str:
    """Return a section on each code of doctor, with its thresholds."""
    from resound.doctor.catalogue import BY_MOMENT, CHECKS, explanations, silencing
    from resound.doctor.settings import Thresholds

    parts = []
    for moment, checks in BY_MOMENT.items():
        parts.append(f"### {moment.capitalize()}")
        for check in checks:
            text = explanations()[check.code]
            parts += [f"#### {check.code}: {CHECKS[check.code].title}", text.means, f"*Why it hurts.* {text.hurts}"]
            parts += [f"*A real case.* {text.case}", f"*How to fix it.* {text.fix}"]
            parts.append(f"*How to silence it.* {silencing(check.code)}")
    parts.append("### Thresholds")
    for name, field in Thresholds.model_fields.items():
        values = field.default.model_dump().items()
        rows = [f"| `{name}.{key}` | {shown(value)} |" for key, value in values]
        parts.append("\n".join(["| threshold | default |", "| --- | --- |", *rows]))
    return "\n\n".join(parts)


def tested_text() -> str:
    """Return a table of the weakest faults that the tests put into healthy material, and of what is said of such."""
    sys.path.insert(0, str(ROOT / "tests"))
    from doctor.faults import FAULTS
    from doctor.healthy import PLANS, RUNS, SAID
    from doctor.test_healthy_outputs import OUTPUTS
    from doctor.test_healthy_sets import SETS
    from resound.doctor import set_checks
    from resound.doctor.catalogue import CHECKS, moment_of

    not_seen = {check.code for check in set_checks.CHECKS} | {"DATA14", "PLAN06", "PLAN10"}  # lacks what they look at
    healthy = {"data": list(SETS), "plan": list(PLANS), "run": list(RUNS), "output": list(OUTPUTS)}
    rows = []
    for code in CHECKS:
        words = "; ".join(fault.words for fault in FAULTS if fault.code == code and fault.words)
        names = [] if code in not_seen else healthy.get(moment_of(code), [])
        told = [name for name in names if code in SAID.get(name, ())]
        beside = f" ({', '.join(told)})" if told else ""
        if words:
            rows.append(f"| {code} | {words} | {f'{len(told)} of {len(names)}{beside}' if names else '-'} |")
    return "\n".join(
        ["| code | weakest fault that is named | said of healthy material |", "| --- | --- | --- |", *rows]
    )


WRITTEN = {
    "tested": tested_text,
    "settings": settings_text,
    "degradations": degradations_text,
    "chains": chains_text,
    "drawn": drawn_text,
    "layouts": layouts_text,
    "doctor": doctor_text,
    "parameters": parameters_text,
    **{f"facts-{network}": partial(facts_text, network) for network in NETWORKS},
}


def corpora_text(data: Path) -> str:
    """Return what ``resound corpus show`` prints of the recordings, up to the licences, in a block."""
    command = [sys.executable, "-c", "from resound.cli.main import main; main()", "corpus"]
    with tempfile.TemporaryDirectory() as folder:
        manifest = str(Path(folder) / "data.jsonl")
        subprocess.run(
            [*command, "scan", str(need_folder(data)), "-o", manifest], check=True, stdout=subprocess.DEVNULL
        )
        told = subprocess.run([*command, "show", manifest], check=True, stdout=subprocess.PIPE, text=True).stdout
    return "```\n" + told.partition("\nlicence ")[0].rstrip() + "\n```"


def shown(value: object) -> str:
    """Return a default as it is written on the command line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, int | float) else f"`{value}`"


def limits(metadata: list[object]) -> str:
    """Return the bounds that a field's validators state."""
    low = [f"≥ {m.ge:g}" for m in metadata if getattr(m, "ge", None) is not None]
    low += [f"> {m.gt:g}" for m in metadata if getattr(m, "gt", None) is not None]
    high = [f"≤ {m.le:g}" for m in metadata if getattr(m, "le", None) is not None]
    return ", ".join(low + high)


def measured_text(name: str, data: Path) -> str:
    """Return what a benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / SCRIPTS[name])]
    if name in ("quality", "vintage", "mixtures", "pairs") or (name == "parity" and data != DEFAULT_DATA):
        command += ["--data", str(data)]  # the cases of parity have a place of their own
    if name == "vintage":
        command += ["--model", "classic"]
    if name == "mixing":
        command += ["--memory-examples", "10000"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def replace_part(page: Path, name: str, text: str) -> str:
    """Return the page with one part replaced."""
    pattern = re.compile(rf"(<!-- made by: {name} -->\n).*?(<!-- end: {name} -->)", re.DOTALL)
    whole, n_found = pattern.subn(lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page.read_text(encoding="utf-8"))
    if n_found != 1:
        sys.exit(f"{page}: has {n_found} parts named {name!r}, not 1; put its two comment lines back")
    return whole


def draw_picture(data: Path) -> None:
    """Restore a disc and save its spectrograms small."""
    from PIL import Image

    import resound

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / PICTURE_TITLE, Path(folder) / "picture.png"
        source.write_bytes((need_folder(data) / PICTURE_SOURCE).read_bytes())
        resound.restore_file(source, Path(folder) / "restored.flac", picture=target)
        with Image.open(target) as picture:
            height = round(picture.height * PICTURE_PIXELS / picture.width)
            small = picture.convert("RGB").resize((PICTURE_PIXELS, height), Image.Resampling.LANCZOS)
        small.quantize(palette=palette(), dither=Image.Dither.NONE).save(ROOT / PICTURE, optimize=True)


def palette() -> Image.Image:
    """Return the colours of the picture: the steps of its colour scale, and greys for the letters."""
    from matplotlib import colormaps
    from PIL import Image

    colours = [colormaps["magma"](i / (PICTURE_COLOURS - 1))[:3] for i in range(PICTURE_COLOURS)]
    colours += [(i / (PICTURE_GREYS - 1),) * 3 for i in range(PICTURE_GREYS)]
    image = Image.new("P", (1, 1))
    image.putpalette([round(255 * part) for colour in colours for part in colour])
    return image


def main() -> None:
    """Update or check the parts named."""
    parser = parser_for(__doc__)
    parser.add_argument(
        "parts", nargs="+", choices=[*PAGES, "picture"], metavar="PART", help=f"{', '.join(PAGES)}, picture"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a page is behind")
    arguments = parser.parse_args()
    behind = []
    for name in arguments.parts:
        if name == "picture":
            draw_picture(arguments.data)
            continue
        page = ROOT / PAGES[name]
        if name == "corpora":
            text = corpora_text(arguments.data)
        else:
            text = WRITTEN[name]() if name in WRITTEN else measured_text(name, arguments.data)
        whole = replace_part(page, name, text)
        if whole == page.read_text(encoding="utf-8"):
            continue
        behind.append(name)
        if not arguments.check:
            page.write_text(whole, encoding="utf-8")
    if arguments.check and behind:
        sys.exit(f"behind: {', '.join(behind)}; run python benchmarks/update_docs.py {' '.join(behind)}")


if __name__ == "__main__":
    main()
