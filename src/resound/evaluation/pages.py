"""Pages that need nothing but themselves: style, scripts and data are in the file."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from resound.doctor.catalogue import CHECKS
from resound.doctor.finding import Finding
from resound.errors import one_line

PARTS = Path(__file__).parent / "page"


def page(title: str, body: str, data: Any, scripts: Sequence[str]) -> str:
    """Return a whole page.  ``data`` is JSON for the scripts, which are names of files in ``page/``."""
    style = (PARTS / "page.css").read_text(encoding="utf-8")
    code = "\n".join((PARTS / name).read_text(encoding="utf-8") for name in scripts)
    code = code.replace('"use strict";\n', "")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        "<link rel='icon' href='data:,'>"  # or the browser looks for one
        f"<title>{escaped(title)}</title><style>{style}</style></head>\n<body><main>{body}</main>\n"
        f"<script type='application/json' id='data'>{in_script(data)}</script>\n"
        f'<script>"use strict";\n{code}</script></body></html>\n'
    )


def in_script(data: Any) -> str:
    """Return JSON that may stand in a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def escaped(text: object) -> str:
    """Return text for HTML, as one line."""
    return html.escape(one_line(text))


def section(title: str, content: str, *, id_: str = "") -> str:
    """Return a heading and what belongs to it; nothing where there is nothing."""
    mark = f" id='{id_}'" if id_ else ""
    return f"<section{mark}><h2>{escaped(title)}</h2>{content}</section>" if content else ""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are HTML already; ``*`` before one marks the best."""
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<div class='panel scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(text: str) -> str:
    return f"<td class='best'>{text[1:]}</td>" if text.startswith("*") else f"<td>{text}</td>"


def facts(pairs: Mapping[str, str]) -> str:
    """Return figures with what they are of."""
    cards = [f"<div class='fact'><b>{escaped(v)}</b><span>{escaped(k)}</span></div>" for k, v in pairs.items()]
    return f"<div class='facts'>{''.join(cards)}</div>"


def findings_of(findings: Sequence[Finding]) -> str:
    """Return doctor's findings, the worst first, as they came."""
    return "".join(
        f"<div class='finding {finding.severity}'><h3>{finding.severity} {finding.code}: "
        f"{escaped(CHECKS[finding.code].title)}</h3><p>{escaped(finding.message)}</p><p>{escaped(finding.remedy)}</p>"
        f"<p class='where'>{escaped(finding.where)}</p></div>"
        for finding in findings
    )


def notes_of(lines: Iterable[str]) -> str:
    """Return notes, a line each."""
    return "".join(f"<p class='note'>{escaped(line)}</p>" for line in lines)
