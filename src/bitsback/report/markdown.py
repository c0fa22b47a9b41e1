"""Pages in Markdown whose figures come from programs.

What a program has measured stands in a page between two marks, each on a line of its own::

    <!-- results -->
    | digits | bits |
    ...
    <!-- /results -->
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from bitsback.errors import FormatError

_BLOCK = re.compile(r"^<!-- ([\w-]+) -->\n(.*?)\n?^<!-- /\1 -->$", re.DOTALL | re.MULTILINE)


def table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, its first column to the left and the others to the right.

    >>> print(table(["a", "b"], [["c", "1"]]))
    | a | b |
    | --- | ---: |
    | c | 1 |
    """
    head = list(head)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def blocks(page: str) -> dict[str, str]:
    """What stands between the marks of a page, by their names.

    >>> blocks("<!-- a -->\\n1\\n<!-- /a -->\\nand\\n<!-- b -->\\n<!-- /b -->\\n")
    {'a': '1', 'b': ''}
    """
    return {match[1]: match[2] for match in _BLOCK.finditer(page)}


def fill(page: str, parts: Mapping[str, str]) -> str:
    """The page with these parts between its marks; what stands between other marks is left.

    Raises:
        FormatError: it has no marks for one of them.

    >>> fill("<!-- a -->\\nold\\n<!-- /a -->\\n", {"a": "new"})
    '<!-- a -->\\nnew\\n<!-- /a -->\\n'
    """
    if missing := parts.keys() - blocks(page).keys():
        raise FormatError(f"the page has no marks: <!-- {min(missing)} --> and <!-- /{min(missing)} -->")

    def filled(match: re.Match[str]) -> str:
        name, text = match[1], parts.get(match[1], match[2])
        return "\n".join([f"<!-- {name} -->", *([text] if text else []), f"<!-- /{name} -->"])

    return _BLOCK.sub(filled, page)
