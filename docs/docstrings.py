"""An extension of Griffe: our docstrings, which are written to be read in the source, as the Markdown of the site.

Doctests become fenced blocks, reStructuredText's roles become code, and ``::`` before a literal block a colon.
"""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:mod|class|func|meth|attr|data):`~?([^`]+)`")


class Markdown(griffe.Extension):
    """Translates each docstring once, when its object has been loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """The docstring ``text`` in Markdown."""
    text = _ROLE.sub(lambda found: f"`{found[1].removeprefix('bitsback.')}`", text)
    lines: list[str] = []
    fenced = False
    for line in text.split("\n"):
        starts = line.lstrip().startswith(">>>")
        if starts and not fenced:
            fenced = True
            indent = line[: len(line) - len(line.lstrip())]
            lines += [f"{indent}```pycon"] if not lines or not lines[-1].strip() else ["", f"{indent}```pycon"]
        elif fenced and not line.strip():
            fenced = False
            lines.append(f"{indent}```")
        if not fenced and line.endswith("::"):
            line = line[:-1]
        lines.append(line)
    if fenced:
        lines.append(f"{indent}```")
    return "\n".join(lines)
