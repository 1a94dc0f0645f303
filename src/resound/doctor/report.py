"""Findings as text for a person, as JSON, and as a page with the pictures that prove them."""

from __future__ import annotations

import base64
import html
import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from resound.doctor.catalogue import CHECKS
from resound.doctor.finding import SEVERITIES, Finding
from resound.errors import counted, one_line

SCREEN_LINES = 24
WIDTH = 110
INDENT = " " * 9
PLURALS = {"info": "infos"}


@dataclass(frozen=True)
class Picture:
    """What proves a finding to the eye."""

    code: str
    title: str
    png: bytes


@dataclass(frozen=True)
class Report:
    """All that one run of doctor found."""

    about: str  # what was looked at, one line
    findings: Sequence[Finding]
    n_checks: int  # that were made
    notes: Sequence[str] = ()  # what could not be looked at: files without a partner

    @property
    def status(self) -> int:
        """The exit status: 1 where an error was found."""
        return int(any(finding.severity == "error" for finding in self.findings))

    def text(self, *, is_verbose: bool = False) -> str:
        """Return it for a person, the worst first; one screen unless all is asked for."""
        blocks = [_block(finding, with_files=is_verbose) for finding in self.findings]
        notes = list(self.notes if is_verbose else self.notes[:3])
        if len(self.notes) > len(notes):
            notes.append(f"and {len(self.notes) - len(notes)} more notes")
        lines: list[str] = [*(f"note     {one_line(note)}" for note in notes)]
        room = SCREEN_LINES - 3 - len(lines)
        for number, block in enumerate(blocks):
            if not is_verbose and number and sum(map(len, blocks[: number + 1])) > room:
                lines.append(f"{INDENT}and {counted(len(blocks) - number, 'more finding')}; -v shows all")
                break
            lines += block
        return "\n".join([*lines, self.summary])

    @property
    def summary(self) -> str:
        """The last line."""
        counts = Counter(finding.severity for finding in self.findings)
        found = [counted(counts[each], each, PLURALS.get(each, "")) for each in SEVERITIES if counts[each]]
        return f"{', '.join(found) or 'nothing found'} by {counted(self.n_checks, 'check')}: {self.about}"

    def json(self) -> str:
        """Return the findings as JSON."""
        text = json.dumps([vars(finding) for finding in self.findings], indent=2, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace").decode()  # file names may hold bytes that are no text

    def html(self, pictures: Sequence[Picture] = ()) -> str:
        """Return a page that needs nothing else: the pictures are in it."""
        sections = "".join(_section(finding, pictures) for finding in self.findings)
        notes = "".join(f"<p class='note'>{_escaped(note)}</p>" for note in self.notes)
        return (
            "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>resound doctor</title>"
            f"<style>{STYLE}</style></head><body><h1>resound doctor</h1><p>{_escaped(self.summary)}</p>"
            f"{notes}{sections}</body></html>\n"
        )


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}"
    "h2{margin-top:2em;font-size:1.15em}.error{color:#b00020}.warning{color:#8a5a00}.info{color:#00508a}"
    "img{max-width:100%}.note,.where{color:#666}"
)


def _block(finding: Finding, *, with_files: bool) -> list[str]:
    """Return a finding as some lines: what is wrong, the number, the remedy, what it was measured on, which files."""
    told = [(f"{finding.severity:<8} ", f"{finding.code}  {CHECKS[finding.code].title}")]
    told += [(INDENT, text) for text in (finding.message, f"-> {finding.remedy}", f"on {finding.where}")]
    told += [(INDENT + "   ", name) for name in finding.files if with_files]
    return [
        line
        for start, text in told
        for line in textwrap.wrap(one_line(text), WIDTH, initial_indent=start, subsequent_indent=INDENT)
    ]


def _escaped(text: str) -> str:
    return html.escape(one_line(text))


def _section(finding: Finding, pictures: Sequence[Picture]) -> str:
    """Return a finding as HTML, with its pictures."""
    title = f"<h2><span class='{finding.severity}'>{finding.severity}</span> {finding.code}: "
    told = (
        f"{title}{html.escape(CHECKS[finding.code].title)}</h2><p>{_escaped(finding.message)}</p>"
        f"<p>{_escaped(finding.remedy)}</p><p class='where'>{_escaped(finding.where)}</p>"
    )
    if finding.files:
        names = "".join(f"<li>{_escaped(name)}</li>" for name in finding.files)
        told += f"<details><summary>{counted(len(finding.files), 'file')}</summary><ul>{names}</ul></details>"
    own = [picture for picture in pictures if picture.code == finding.code]
    return told + "".join(
        f"<figure><img alt='{html.escape(picture.title)}' "
        f"src='data:image/png;base64,{base64.b64encode(picture.png).decode()}'>"
        f"<figcaption>{html.escape(picture.title)}</figcaption></figure>"
        for picture in own
    )
