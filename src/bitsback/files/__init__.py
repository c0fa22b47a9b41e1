"""Image files and arrays, in and out, with their metadata.

    picture = parse(data, "a.png")       pixels, recipe, blob - or the file's bytes, if it is no image
    data = write(picture.recipe, picture.blob, picture.parts)

The contract is *byte for byte*: what an encoder chose is told by its rules and by corrections to them
(:mod:`bitsback.files.deflate`). Where ``pixels`` and metadata are all that is asked for, a deflated file (PNG, gzip,
npz) may be deflated anew instead. Of a JPEG file the coefficients are taken, not pixels. No parser is believed: a file
is put together again when it is read, and unless the result is the same, the file's own bytes are kept instead.
"""

from bitsback.files.arrays import npy_bytes as npy_bytes
from bitsback.files.bulk import check_bulk as check_bulk
from bitsback.files.files import from_array as from_array
from bitsback.files.files import innermost as innermost
from bitsback.files.files import inside as inside
from bitsback.files.files import parse as parse
from bitsback.files.files import values as values
from bitsback.files.files import write as write
from bitsback.files.formats import HOLDERS as HOLDERS
from bitsback.files.formats import MAGIC_BYTES as MAGIC_BYTES
from bitsback.files.formats import claimed as claimed
from bitsback.files.formats import coefficient_runs as coefficient_runs
from bitsback.files.formats import coefficients as coefficients
from bitsback.files.formats import is_corrected as is_corrected
from bitsback.files.formats import nests as nests
from bitsback.files.formats import prepare as prepare
from bitsback.files.formats import recognise as recognise
from bitsback.files.formats import shown as shown
from bitsback.files.levels import levels as levels
from bitsback.files.picture import Picture as Picture
from bitsback.files.picture import Skipped as Skipped
