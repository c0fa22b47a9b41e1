"""A hook of MkDocs: the command's own help becomes its reference page, so that the two cannot differ."""

from typing import Any

import click

MARK = "<!-- commands -->"
WIDTH = 78
"""Columns of the help; what a page has room for."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark by a section for each command."""
    if MARK not in markdown:
        return markdown
    from bitsback.cli.app import app

    settings = app.context_settings | {"max_content_width": WIDTH, "terminal_width": WIDTH}
    with click.Context(app, info_name="bitsback", **settings) as context:
        sections = [
            section
            for name in app.list_commands(context)
            if (command := app.get_command(context, name)) is not None
            for section in _sections(command, context, name)
        ]
    return markdown.replace(MARK, "\n\n".join([f"```text\n{app.get_help(context)}\n```", *sections]))


def _sections(command: click.Command, parent: click.Context, name: str) -> list[str]:
    with click.Context(command, parent, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH) as context:
        found = [f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```"]
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                if (one := command.get_command(context, inner)) is not None:
                    found += _sections(one, context, inner)
    return found
