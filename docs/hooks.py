"""Hooks of MkDocs: the command's own help becomes its reference page, mathematics becomes MathML, and the lab's scripts
become pages that their pages link to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

MARK = "<!-- commands -->"
WIDTH = 78
"""Columns of the help; what a page has room for."""

LAB = Path(__file__).parent / "lab"

MATHS = re.compile(
    r"(?P<code>^ *```.*?^ *```$|`[^`\n]+`|<!--.*?-->)"
    r"|\$\$(?P<block>.+?)\$\$"
    r"|(?<![\\\w$])\$(?=\S)(?P<inline>[^$\n]+?)(?<=\S)\$(?![\w$])",
    re.MULTILINE | re.DOTALL,
)
"""Between dollars is mathematics, between two of them on lines of their own; not in code."""

_formulas: dict[str, str] = {}


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each script of the lab."""
    from mkdocs.structure.files import File, InclusionLevel

    for script in sorted(LAB.glob("*.py")):
        source = script.read_text("utf-8")
        page = f"---\nsearch: {{exclude: true}}\n---\n# {script.name}\n\n````python\n{source}````\n"
        files.append(
            File.generated(config, f"lab/scripts/{script.stem}.md", content=page, inclusion=InclusionLevel.NOT_IN_NAV)
        )
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace the mark by a section for each command, formulas by what will be replaced once more; name the script."""
    place = Path(page.file.src_uri)
    script = LAB / f"{place.stem.replace('-', '_')}.py"
    if place.parent.as_posix() == "lab" and script.exists():
        markdown += f"\n\n*Made by [docs/lab/{script.name}](scripts/{script.stem}.md).*\n"
    if MARK in markdown:
        markdown = markdown.replace(MARK, _commands())
    return MATHS.sub(_put, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Put formulas where they belong, which Markdown has not seen."""
    return re.sub(r"xmathx\d+x", lambda found: _formulas[found[0]], html)


def _put(found: re.Match[str]) -> str:
    if found["code"]:
        return found["code"]
    formula = found["block"] or found["inline"]
    name = f"xmathx{len(_formulas)}x"
    from latex2mathml.converter import convert  # of the extra "docs", which the command's page does without

    _formulas[name] = convert(formula.strip(), display="block" if found["block"] else "inline")
    return name


def _commands() -> str:
    from bitsback.cli.app import app

    settings = app.context_settings | {"max_content_width": WIDTH, "terminal_width": WIDTH}
    with click.Context(app, info_name="bitsback", **settings) as context:
        sections = [
            section
            for name in app.list_commands(context)
            if (command := app.get_command(context, name)) is not None
            for section in _sections(command, context, name)
        ]
        return "\n\n".join([f"```text\n{app.get_help(context)}\n```", *sections])


def _sections(command: click.Command, parent: click.Context, name: str) -> list[str]:
    with click.Context(command, parent, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH) as context:
        found = [f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```"]
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                if (one := command.get_command(context, inner)) is not None:
                    found += _sections(one, context, inner)
    return found
