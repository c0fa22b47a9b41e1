"""The manual page, from the command's own help: ``python packaging/manual.py > packaging/bitsback.1``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

import bitsback
from bitsback.cli.app import app

PAGE = Path(__file__).with_name("bitsback.1")


def page() -> str:
    """The page in the words of man(7)."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    context = click.Context(app, info_name="bitsback")
    yield f'.TH BITSBACK 1 "" "bitsback {bitsback.__version__}" "User Commands"'
    yield from (".SH NAME", r"bitsback \- lossless compression of images with latent-variable models", ".SH SYNOPSIS")
    yield from (".B bitsback", r".I COMMAND", r"[\fIARGUMENT\fR...]", ".SH DESCRIPTION")
    yield from _text(app.help or "")
    yield ".SH COMMANDS"
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        yield from _command(command, f"bitsback {name}", context)
    yield from (".SH SEE ALSO", ".BR tar (1),", ".BR xz (1),", ".BR cjxl (1)")


def _command(command: click.Command, name: str, above: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=above)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f".SS {_escaped(name)} {_escaped(usage)}",)
    yield from _text(command.help or "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[0] != "-h, --help":
            yield from (".TP", rf"\fB{_escaped(record[0])}\fR", _escaped(" ".join(record[1].split())))
    if isinstance(command, click.Group):
        for part in command.list_commands(context):
            found = command.get_command(context, part)
            assert found is not None
            yield from _command(found, f"{name} {part}", context)


def _text(text: str) -> Iterator[str]:
    """Paragraphs."""
    for number, paragraph in enumerate(text.split("\f")[0].strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _escaped(" ".join(paragraph.split()))


def _escaped(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.write(page())
