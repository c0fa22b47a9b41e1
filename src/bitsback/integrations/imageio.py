"""Archives as images of imageio 3: ``iio.imread("scans.bba", index=7)`` after :func:`register`.

imageio knows no entry points, so whoever wants this asks for it::

    import bitsback.integrations.imageio

    bitsback.integrations.imageio.register()

Images are numbered from 0 through all files of an archive. Nothing but what is read is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import Any

import numpy as np
from imageio.config import FileExtension, PluginConfig, extension_list, known_extensions, known_plugins
from imageio.core.request import URI_BYTES, InitializationError, Request
from imageio.core.v3_plugin_api import ImageProperties, PluginV3
from numpy.typing import NDArray

from bitsback import api
from bitsback.archive import Archive
from bitsback.errors import BitsBackError

NAME, EXTENSION = "bitsback", ".bba"


class ArchivePlugin(PluginV3):
    """An archive that is read, or one of arrays that is written.

    Raises InitializationError for what is no archive; what reading raises is an OSError.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._archive: Archive | None = None
        if request.mode.io_mode == "r":
            try:
                self._archive = Archive(request.get_file())
            except BitsBackError as error:
                raise InitializationError(str(error)) from None

    def close(self) -> None:
        """Close the archive."""
        if self._archive is not None:
            self._archive.close()
        super().close()

    def read(self, *, index: int | EllipsisType = 0) -> NDArray[Any]:
        """An image, (height, width) or (height, width, channels); with ``...`` all of them, if they are of one shape,
        (n, ...). IndexError if there is none."""
        if index is ...:
            images = list(self.iter())
            if len({(image.shape, image.dtype) for image in images}) > 1:
                raise ValueError("the images are of several shapes or types: read them one by one")
            return np.stack(images)
        return self._image(index)

    def iter(self) -> Iterator[NDArray[Any]]:
        """All images, one after the other."""
        return map(self._image, range(len(self._read_only)))

    def write(self, ndimage: Any, *, is_batch: bool | None = None, **options: Any) -> bytes | None:
        """An archive of an image, or of a batch: a list, or an array of four axes, or what ``is_batch`` says is one.
        ``options`` are those of :func:`bitsback.compress`."""
        images = np.asarray(ndimage)
        if is_batch is None:
            is_batch = isinstance(ndimage, Sequence) or images.ndim > 3
        data = api.compress(images if is_batch else images[None], **options)
        self.request.get_file().write(data)
        return data if self.request._uri_type == URI_BYTES else None

    def properties(self, index: int | EllipsisType = 0) -> ImageProperties:
        """Shape and type, without decoding; of all images, those of the first with their number in front."""
        number = 0 if index is ... else index
        member, part, _ = self._read_only.locate(number)
        about = member.parts[part]
        shape: tuple[int, ...] = about.shape
        dtype = np.dtype(about.dtype)
        if about.coefficients:
            image = self._image(number)
            shape, dtype = image.shape, image.dtype
        shape = shape[:2] if len(shape) == 3 and shape[2] == 1 else shape
        if index is not ...:
            return ImageProperties(shape=shape, dtype=dtype)
        count = len(self._read_only)
        return ImageProperties(shape=(count, *shape), dtype=dtype, n_images=count, is_batch=True)

    def metadata(self, index: int | EllipsisType = 0, exclude_applied: bool = True) -> dict[str, Any]:
        """The name of the file that an image comes from; of all images, how many there are."""
        if index is ...:
            return {"n_images": len(self._read_only)}
        return {"name": self._read_only.locate(index)[0].name}

    @property
    def _read_only(self) -> Archive:
        if self._archive is None:
            raise OSError("this archive is being written")
        return self._archive

    def _image(self, index: int) -> NDArray[Any]:
        try:
            image: NDArray[Any] = self._read_only[index]
        except BitsBackError as error:
            raise OSError(str(error)) from None
        return image


def register() -> None:
    """Make imageio read and write ``.bba``."""
    if NAME not in known_plugins:
        known_plugins[NAME] = PluginConfig(name=NAME, class_name="ArchivePlugin", module_name=__name__)
        extension = FileExtension(extension=EXTENSION, priority=[NAME], name="bitsback archive")
        extension_list.append(extension)
        known_extensions[EXTENSION] = [extension]


__all__ = ["ArchivePlugin", "register"]
