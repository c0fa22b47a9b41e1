"""Archives as images of Pillow: ``Image.open("scans.bba")`` after :func:`register`, with a frame for each image.

Pillow knows no entry points, so whoever wants this asks for it::

    import bitsback.integrations.pillow

    bitsback.integrations.pillow.register()

Then whatever opens images by Pillow (imageio, torchvision, scikit-image) opens archives: the first image, or any other
by ``seek``. Opening decodes nothing, unless the first file is a JPEG file. Saving makes an archive of one array; with
``save_all=True`` and ``append_images`` of several, which are in it one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageSequence

from bitsback import api
from bitsback.archive import Archive
from bitsback.archive.container import MAGIC
from bitsback.errors import BitsBackError, FormatError

FORMAT = "BITSBACK"
EXTENSION = ".bba"

_MODES = {("uint8", 1): "L", ("uint8", 2): "LA", ("uint8", 3): "RGB", ("uint8", 4): "RGBA", ("uint16", 1): "I;16"}
"""What Pillow calls samples of a type and so many channels."""


class ArchiveFile(ImageFile.ImageFile):
    """An open archive, showing one of its images. Images that Pillow has no mode for raise OSError when they come."""

    format = FORMAT
    format_description = "bitsback archive"
    _close_exclusive_fp_after_loading = False
    _wanted = False
    """Whether the image that is shown is still to be decoded."""

    def _open(self) -> None:
        assert self.fp is not None
        try:
            self._archive = Archive(self.fp)  # type: ignore[arg-type]
        except FormatError as error:
            raise SyntaxError(str(error)) from None
        except BitsBackError as error:
            raise OSError(str(error)) from None
        self.n_frames = len(self._archive)
        self.is_animated = self.n_frames > 1
        if not self.n_frames:
            raise OSError("there are no images in this archive")
        self._show(0)

    def seek(self, frame: int) -> None:
        """Go to an image by its number. Raises EOFError if there is none, OSError if Pillow has no mode for it."""
        if self._seek_check(frame):
            self._show(frame)

    def tell(self) -> int:
        """The number of the image that is shown."""
        return self._frame

    def load(self) -> Any:
        """Decode the image, unless it is there. Raises OSError if the archive is damaged."""
        if self._wanted:
            self.im = Image.fromarray(self._decoded(self._frame)).im
            self.readonly, self._wanted = 0, False
        return Image.Image.load(self)

    def _show(self, frame: int) -> None:
        member, part, _ = self._archive.locate(frame)
        if member.parts[part].coefficients:
            image = self._decoded(frame)
            shape, dtype = image.shape, image.dtype.name
        else:
            shape, dtype = member.parts[part].shape, member.parts[part].dtype
        channels = shape[2] if len(shape) == 3 else 1
        if (dtype, channels) not in _MODES:
            raise OSError(f"image {frame} has {channels} channels of {dtype}, which Pillow has no mode for")
        self._mode, self._size = _MODES[dtype, channels], (shape[1], shape[0])
        self.info = {"name": member.name}
        self._frame, self._wanted, self.tile = frame, True, []

    def _decoded(self, frame: int) -> NDArray[Any]:
        try:
            return self._archive[frame]
        except BitsBackError as error:
            raise OSError(str(error)) from None


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, file: IO[bytes], name: str | bytes) -> None:
    """An archive of one image, ``BITSBACK`` among the formats of ``Image.save``; options are those of
    :func:`bitsback.compress`."""
    _write([image], file, image.encoderinfo)


def _save_all(image: Image.Image, file: IO[bytes], name: str | bytes) -> None:
    options = dict(image.encoderinfo)
    _write(_frames([image, *options.pop("append_images", ())]), file, options)


def _frames(images: Iterable[Image.Image]) -> Iterator[Image.Image]:
    for image in images:
        for frame in ImageSequence.Iterator(image):
            yield frame.copy()


def _write(images: Iterable[Image.Image], file: IO[bytes], options: dict[str, Any]) -> None:
    arrays = []
    for image in images:
        if image.mode not in _MODES.values():
            raise OSError(f"cannot write mode {image.mode} as {FORMAT}: convert it")
        arrays.append(np.asarray(image).reshape(image.height, image.width, -1))
    if len({(array.shape, array.dtype) for array in arrays}) != 1:
        raise OSError(f"images that are written to one {FORMAT} file are of one size and mode")
    chosen = {key: value for key, value in options.items() if key in ("model", "effort", "threads", "verify")}
    file.write(api.compress(np.stack(arrays), **chosen))


def register() -> None:
    """Make Pillow open archives, by what they begin with, and save them, by the name ``.bba``."""
    Image.register_open(FORMAT, ArchiveFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_save_all(FORMAT, _save_all)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, "application/vnd.bitsback")


__all__ = ["EXTENSION", "FORMAT", "ArchiveFile", "register"]
