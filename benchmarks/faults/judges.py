"""Files of TIFF, DICOM, NIfTI and FITS as arrays, beside what tifffile, pydicom, nibabel and astropy give.

    pip install tifffile pydicom nibabel astropy
    python benchmarks/faults/judges.py FOLDER...

Every file that is taken apart is read by both; a table says how many are equal, and why others are not. Equal means:
the same numbers in the order of the file, page by page; NaNs are equal to NaNs. Types may differ where a library has
bits as bool. Tiles are compared as they lie in the file. Of JPEG inside, what both show.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback import files

Arrays = list[NDArray[Any]]


def of_dicom(path: Path) -> list[Arrays]:
    """As stored, and in RGB, which is what a JPEG decoder gives."""
    import pydicom
    from pydicom.pixels import pixel_array

    found = pydicom.dcmread(path, force=True)
    try:  # as our JPEG decoder is Pillow's
        return [[pixel_array(found, raw=raw, decoding_plugin="pillow")] for raw in (True, False)]
    except (ValueError, NotImplementedError, RuntimeError):
        return [[pixel_array(found, raw=raw)] for raw in (True, False)]


def of_nifti(path: Path) -> list[Arrays]:
    """The last axis of nibabel's arrays is the slowest."""
    import nibabel

    image: Any = nibabel.load(path)
    array = np.asanyarray(image.dataobj.get_unscaled())
    if array.dtype.names:  # colours
        array = array.view((np.uint8, len(array.dtype.names)))
        return [[np.moveaxis(array, -1, 0).T]]
    return [[array.T]]


def of_fits(path: Path) -> list[Arrays]:
    from astropy.io import fits

    with fits.open(path, do_not_scale_image_data=True, memmap=False, ignore_missing_simple=True) as units:
        images = (unit.data for unit in units if isinstance(unit, fits.PrimaryHDU | fits.ImageHDU))
        return [[np.asarray(data) for data in images if data is not None and data.ndim > 1]]


def of_tiff(path: Path) -> list[Arrays]:
    """All pages and those below them, both ways round."""
    import tifffile

    seen: set[int] = set()

    def walk(pages: Any) -> Iterator[Any]:
        for page in pages:
            if page.offset in seen:  # pages in a circle
                return
            seen.add(page.offset)
            yield page
            if page.pages is not None:
                yield from walk(page.pages)

    def tiles(page: Any) -> NDArray[Any]:
        parts = (np.zeros(shape) if part is None else np.asarray(part) for part, _, shape in page.segments())
        return np.concatenate([part.reshape(-1) for part in parts])

    with tifffile.TiffFile(path) as file:
        return [[tiles(page) if page.is_tiled else page.asarray() for page in walk(file.pages)]]


JUDGES: dict[str, tuple[str, Callable[[Path], list[Arrays]]]] = {
    "tiff": ("tifffile", of_tiff),
    "dicom": ("pydicom", of_dicom),
    "acr": ("pydicom", of_dicom),
    "nifti": ("nibabel", of_nifti),
    "nifti2": ("nibabel", of_nifti),
    "fits": ("astropy", of_fits),
}


def flat(arrays: Arrays) -> NDArray[Any]:
    return np.concatenate([array.reshape(-1) for array in arrays])


def holds(ours: Arrays, theirs: Arrays) -> bool:
    """Whether theirs are among ours, in order: of pages that are not in the main chain, not all follow all."""
    whole, at = flat(ours).tobytes(), 0
    for array in theirs:
        some = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).tobytes()
        if (at := whole.find(some, at)) < 0:
            return False
        at += len(some)
    return True


def outcome(path: Path, judge: Callable[[Path], list[Arrays]]) -> tuple[str, str]:
    """What became of a file, and more about it where it differs."""
    data = path.read_bytes()
    picture = files.parse(data, path.name)
    if not picture.parts:
        return "kept", picture.note
    ours = files.values(picture.recipe, picture.blob, picture.parts)
    try:
        several = judge(path)
    except Exception as error:
        return "they cannot", f"{type(error).__name__}: {error}".partition("\n")[0][:90]
    for theirs in several:
        if theirs and np.array_equal(flat(ours), flat(theirs), equal_nan=flat(theirs).dtype.kind in "fc"):
            same = {a.dtype.newbyteorder("=") for a in ours} == {a.dtype.newbyteorder("=") for a in theirs}
            return ("equal" if same else "equal, another type"), ""
    if several[0] and holds(ours, several[0]):
        return "equal, and more pages", ""
    shapes = [array.shape for array in ours][:3], [array.shape for array in several[0]][:3]
    coded = "JPEG, " if picture.coefficients else ""
    return "not equal", f"{coded}{shapes[0]} here, {shapes[1]} there"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--all", action="store_true", help="name kept files, too")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable()
    counts: Counter[tuple[str, str]] = Counter()
    for path in sorted(path for folder in options.folders for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            kind = files.recognise(file.read(files.MAGIC_BYTES)) or ""
        kind = "nifti" if path.name.endswith(".nii.gz") else kind
        if kind not in JUDGES:
            continue
        judge, read = JUDGES[kind]
        found, more = outcome(path, read)
        counts[judge, found] += 1
        if more and (found != "kept" or options.all):
            print(f"{path}: {found}; {more}")
    print("\n| judge | what | files |\n|---|---|---:|")
    for (judge, found), count in sorted(counts.items()):
        print(f"| {judge} | {found} | {count} |")
    sys.exit(any(found == "not equal" for _, found in counts))


if __name__ == "__main__":
    main()
