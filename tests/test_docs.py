"""The pages say what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])


def test_the_tables_are_those_of_the_code():
    names = ["settings", "degradations", "chains", "drawn", "layouts", "doctor", "tested"]
    checked = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "update_docs.py", *names, "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, f"run 'python benchmarks/update_docs.py {' '.join(names)}': {checked.stderr}"


@pytest.mark.parametrize("kind", ["degradations", "chains"])
def test_each_degradation_and_chain_is_written_out_once(kind):
    from resound.degrade.chain import DEGRADATIONS, chain_names

    pages = [page.read_text(encoding="utf-8") for page in ROOT.glob("docs/degradations/*.md")]
    marks = [mark for page in pages for mark in re.findall(rf"<!-- {kind}: (.+) -->", page)]
    named = [name.strip() for mark in marks for name in mark.split(",")]
    assert sorted(named) == sorted(DEGRADATIONS if kind == "degradations" else chain_names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_only_flags_that_exist(page):
    import typer

    from resound.cli.main import app

    known = {"--help", "--version"}
    commands = list(typer.main.get_command(app).commands.values())
    for command in commands:  # grows by the commands of groups
        commands += getattr(command, "commands", {}).values()
        known |= {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if re.search(r"\bresound \w+ ", line)]
    named = {flag for line in lines for flag in re.findall(r"(?<![\w-])--[a-z-]+", line.split("#")[0])}
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_map_names_all_that_there_is_and_nothing_else():
    tree = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .partition("```text\nsrc/resound/\n")[2]
        .partition("\ntests/")[0]
    )
    source = ROOT / "src" / "resound"
    folders = {f"{path.parent.name}/" for path in source.glob("*/*") if path.parent.name != "__pycache__"}
    modules = {path.name for path in source.glob("*.py") if path.name != "__init__.py"}
    assert set(re.findall(r"(?:^|  )([a-z_]+(?:/|\.py))(?= )", tree, re.MULTILINE)) == folders | modules


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_is_left_unfinished(page):
    assert not re.search(r"\b(MEASURED|TODO|TBD|FALLS_SHORT|FIXME)\b", page.read_text(encoding="utf-8"))
