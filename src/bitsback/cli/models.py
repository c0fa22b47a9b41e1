"""``bitsback models``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bitsback.cli import options
from bitsback.cli.output import printable, say, size_words, write_json
from bitsback.errors import BitsBackError

if TYPE_CHECKING:
    from bitsback.models import Model
    from bitsback.models.search import Found

MAX_CARD = 1 << 20
MAX_LINES, MAX_WORDS, MAX_LIST = 200, 300, 8
"""What is shown of a card: so many lines, so many characters of a value, and lists of so many entries."""

RESERVED = ("auto", "none")
"""What ``compress --model`` takes for something else than a name."""


@click.command("models")
@click.argument("models", type=options.MODEL, nargs=-1, metavar="[MODEL...]")
@click.option("--add", is_flag=True, help="Install: copy these model files, and their cards, into your folder.")
@click.option("--remove", is_flag=True, help="Delete the models of these names from your folder.")
@options.force
@options.verbose
@options.quiet
@options.as_json
def models_command(models: tuple[str, ...], add: bool, remove: bool, force: bool, verbose: int, as_json: bool) -> int:
    """Show what models are installed, or the cards of these ones.

    MODEL is a name or a model file (.bbm). Models are looked for in the folders of BITSBACK_MODEL_PATH, in your own
    folder, and in the package, in this order. compress tries those of yours that fit. -v adds the files' places.
    """
    if (add or remove) and (not models or (add and remove)):
        raise click.UsageError("--add takes model files, --remove takes names, and they do not go together")
    if add:
        return _add([Path(name) for name in models], force)
    if remove:
        return _remove(models)
    if not models:
        return _table(verbose, as_json)
    for number, name in enumerate(models):
        if number and not as_json:
            click.echo()
        _show(name, as_json)
    return 0


def _table(verbose: int, as_json: bool) -> int:
    from bitsback.models import Model, search

    rows = [("name", "images", "size", "where", "id", "file")]
    for found in search.find():
        try:
            model = Model.load(found.path)
        except BitsBackError as error:
            say(f"warning: left out {error}")
            continue
        if as_json:
            write_json(_facts(model, found))
        size = size_words(len(model.data))
        rows.append((found.name, model.takes, size, found.where, f"sha256:{model.id[:12]}", str(found.path)))
    if as_json:
        return 0
    shown = [[printable(text) for text in row] for row in rows]
    a, b, c, d, e, _ = (max(map(len, column)) for column in zip(*shown, strict=True))
    for name, images, size, where, identity, path in shown:
        line = f"{name:<{a}}  {images:<{b}}  {size:>{c}}  {where:<{d}}  "
        click.echo(line + (f"{identity:<{e}}  {path}" if verbose else identity))
    return 0


def _show(name: str, as_json: bool) -> None:
    """One model: what its file says, and its card."""
    from bitsback.models import Model, search
    from bitsback.models.file import SUFFIX

    known = {found.name: found for found in reversed(search.find())}
    found = None if name.endswith(SUFFIX) else known.get(name)
    model = Model.load(found.path if found else name)
    path = found.path if found else Path(name)
    facts, card = _facts(model, found, path), _card(path)
    if card and card.get("sha256", model.id) != model.id:
        say(f"warning: {path.with_suffix('.json')} is the card of another model")
        card = None
    if as_json:
        write_json(facts | {"card": card})
        return
    for key, value in _lines(model, path, found.where if found else None):
        click.echo(f"{key:<11} {printable(value)}")
    # What the lines above say from the file itself need not be said again
    lines = list(_flat({key: value for key, value in (card or {}).items() if key not in ("name", "sha256", "bytes")}))
    width = max((len(key) for key, _ in lines), default=0)
    for key, value in lines[:MAX_LINES]:
        click.echo(f"  {key:<{width}}  {value}")


def _lines(model: "Model", path: Path, where: str | None) -> Iterator[tuple[str, str]]:
    """What there is to say of a model, from its file alone."""
    yield "name", model.name
    yield "file", f"{path}, {where or 'not installed'}"
    yield "sha256", model.id
    yield "size", f"{len(model.data):,} bytes"
    yield "images", model.takes
    yield from model.config.lines()


def _facts(model: "Model", found: "Found | None", path: Path | None = None) -> dict[str, Any]:
    return {
        "name": found.name if found else model.name,
        "file": str(found.path if found else path),
        "where": found.where if found else None,
        "id": model.id,
        "bytes": len(model.data),
        "tag": model.tag,
        "shape": list(model.shape),
        "levels": model.levels,
        **model.config.facts(),
    }


def _card(path: Path) -> dict[str, Any] | None:
    """The JSON object beside a model file, whatever is in it; None if there is none, or it cannot be read."""
    from bitsback.models import file

    side = path.with_suffix(".json")
    try:
        card = json.loads(file.read(side, MAX_CARD), parse_constant=lambda name: None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        card = None
    if not isinstance(card, dict):
        say(f"warning: {side} is no card: not a JSON object of at most {size_words(MAX_CARD)}")
        return None
    return card


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The values of nested objects, each with its path, fit for a terminal."""
    if isinstance(value, dict) and name.count(".") < MAX_LIST:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, dict) or (isinstance(value, list) and not _short(value)):
        yield printable(name[:MAX_WORDS]), f"({len(value):,} entries)"
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)
        yield printable(name[:MAX_WORDS]), printable(text[:MAX_WORDS])


def _short(values: list[Any]) -> bool:
    return len(values) <= MAX_LIST and not any(isinstance(value, list | dict) for value in values)


def _add(paths: list[Path], force: bool) -> int:
    """Copy model files, once they are checked, into the user's folder."""
    from bitsback.archive import atomic
    from bitsback.models import Model, search
    from bitsback.models.file import SUFFIX

    folder = _folder()
    for path in paths:
        if path.suffix != SUFFIX or path.stem in RESERVED or path.name.startswith("."):
            raise BitsBackError(
                f"{path}: the name of a model file is NAME{SUFFIX}, and NAME not {' or '.join(RESERVED)}"
            )
        model = Model.load(path)
        try:
            model.prove()
        except BitsBackError as error:
            raise type(error)(f"{path}: {error}") from None
        card = _card(path)
        target = search.Found(folder / path.name, "user")
        folder.mkdir(parents=True, exist_ok=True)
        with atomic.write(target.path, overwrite=force) as file:
            file.write(model.data)
        if card is None:
            target.card.unlink(missing_ok=True)  # that of the model which this one replaces
        else:
            with atomic.write(target.card, overwrite=True) as file:
                file.write(json.dumps(card, indent=1).encode() + b"\n")
        say(f"installed {target.name}: {model.takes}, {size_words(len(model.data))}, {target.path}")
        for other in search.find():
            if other.name == target.name and other.path != target.path:
                say(f"note: {other.path} has the same name; what 'bitsback models' lists first is meant")
    return 0


def _remove(names: tuple[str, ...]) -> int:
    """Delete models from the user's folder, sound or not."""
    from bitsback.models import search

    found = {one.name: one for one in search.find() if one.where == "user"}
    for name in names:
        if name not in found:
            raise BitsBackError(f"{name!r}: no such model in {_folder()}; others are not deleted")
    for name in dict.fromkeys(names):
        found[name].path.unlink()
        found[name].card.unlink(missing_ok=True)
        say(f"removed {name}")
    return 0


def _folder() -> Path:
    from bitsback.models import search

    folder = search.user_folder()
    if folder is None:
        raise BitsBackError("there is no home folder to keep models in: set XDG_DATA_HOME")
    return folder
