"""Image files and arrays, in and out, with their metadata.

    picture = parse(data, "a.png")       pixels, recipe, blob - or the file's bytes, if it is no image
    data = write(picture.recipe, picture.blob, picture.parts)

The contract is *pixel-exact, metadata kept*: pixels, bit depth, palette, text, colour profiles, tags and member names
come back as they were. A compressed file (PNG, gzip, npz) is compressed anew and a plain-text PNM spaced anew, so their
bytes may differ; every other format comes back byte for byte. Files that are compressed in other ways (JPEG, GIF,
WebP, JPEG XL, compressed TIFF) are kept as their bytes and gain nothing. No parser is believed: a file is put together
again when it is read, and unless the result holds the same content, the file's own bytes are kept instead.
"""

from bitsback.files.arrays import npy_bytes as npy_bytes
from bitsback.files.files import from_array as from_array
from bitsback.files.files import parse as parse
from bitsback.files.files import write as write
from bitsback.files.formats import MAGIC_BYTES as MAGIC_BYTES
from bitsback.files.formats import claimed as claimed
from bitsback.files.formats import is_corrected as is_corrected
from bitsback.files.formats import prepare as prepare
from bitsback.files.formats import recognise as recognise
from bitsback.files.levels import levels as levels
from bitsback.files.picture import Picture as Picture
from bitsback.files.picture import Skipped as Skipped
