"""How a recipe ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bitsback.models import Model


def finish(folder: Path, model: Model, card: dict[str, Any]) -> None:
    """Write NAME.bbm and NAME.json."""
    (folder / f"{model.name}.bbm").write_bytes(model.data)
    (folder / f"{model.name}.json").write_text(json.dumps(card, indent=1) + "\n")
    click.echo(f"{folder / model.name}.bbm: {len(model.data)} bytes")
