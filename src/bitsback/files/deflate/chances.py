"""How likely corrections are at first: learned from those to streams of 22 images by 33 encoders (zlib-ng, libdeflate,
ISA-L, zopfli, oxipng and AdvanceCOMP, at their levels)."""

from __future__ import annotations

import numpy as np

from bitsback.files.deflate.coder import CONTEXTS, ONE, UNKNOWN, USED
from bitsback.files.deflate.lists import LISTS

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TOLD = [*range(10), *range(32, 64)]
"""Contexts of a list of which something is known."""
_WEIGHT = 2
"""As if they had been used so often."""

_TABLE = """
my52z3zwsqAgAAAAAAAeajAAAAAafkXbpeAbbfhbik dcqupwsuwoALAAAAAAAXWZAAAAAVafhddfAcbSasYS
6khbUWdZwOAVAAAAAAAZXbAAAAAWYZeeggASQbaiUe 2ffYWeiUJAAUAAAAAAAXZaAAAAAQabdaggARbcbfTh
9Q0todQbgTAFAAAAAAAaYdAAAAAadfbbihAYWebfhi 9HgYMCAAAAADAAAAAAAafVAAAAAOZOQiKjAPZmfvAd
4mumfcYZYjARAAAAAAAebbAAAAAZcdcgcdAUWafYVj 4ZgWRUBAAAANAAAAAAAXaaAAAAASYYcdidARZValgb
1qojcYTcRAAXAAAAAAAccaAAAAATccZdbbAUbZYbYh 1eYTPDAAAAASAAAAAAASZaAAAAAUWUbaecAPYYjlWw
3kmhZTUWUAAUAAAAAAAXacAAAAAWdcYccdAVYdbcad 1bVPOIAAAAARAAAAAAAUZXAAAAAQYWaZcaAVdiadWl
3nffZQTcHAAYAAAAAAAWYbAAAAAWbbfccgAUZbcedd 1eVOEAAAAAAXAAAAAAATWbAAAAATYVbYdcALVdWduj
0bZWRPeAAAAWAAAAAAAUYcAAAAAVaddUhfAYVTZkmg uUPLHAAAAAARAAAAAAARSWAAAAAOTgbRYoAVUAW
5ifgXPGAAAAiAAAAAAAWVXAAAAAWXaffZaAUXaeeUc 0aVSRGAAAAAXAAAAAAARSYAAAAARVkkePZANWKMd
rehifYEAAAATAAAAAAAXThAAAAAafmfYlcATTXgMd jTPRHAAAAAAWAAAAAAARYSAAAAAOIAYAAAANJAK
UBAAAAAAAAAB B
CBAAAAAAAAAJ BCAAAAAAAAAC
3urrlolRBAAUAAAAAAAWZbAAAAAVaddgceAUbbfbhZ Oz3yjsKRAAACAAAAAAAdskAAAAAYVhoVegAUUNeu9
frgSPGAAAAAjAAAAAAAUilAAAAAZZdoYgVAWQYEvg B
/////////9 /BAAAAAAAAAB
++++++++++ /FkuBAAAAAAnAAAAAAAOpsAAAAAdgmjWggAITQRZgm
m/8az///1YAAAAAAAAAuABAAAAAZfBv/BAACCAC /b/BAAAAAAABAAAAAAAAAAAAAAABBAB
yuy173vpBAAQAAAAAAAVcnAAAAAeXdgdfvAkdaoaki dzhgkmmeBAAmAAAAAAAewzAAAAAbVQ1250AXObtbM2
+DYlttqVVkADAAAAAAAPXVAAAAAOPaVchfAaibalZf //////++/5AAAAAAAAA0AEAAAAARNq/AA2AYrYkXn7
- -
D+JVjlohGAABAAAAAAAFBBAAAAALMoBBBBAKiJeMg TdNQYmtXAAAUAAAAAAAQBBAAAAAUVQBBBBAWHU2Aay
eWMIak3nAAA0AAAAAAAGLBAAAAALbeBBBBARiADd jjKTpkhkBAAxAAAAAAAOsyAAAAALNkEBBBAPsBXK8
vwcPQskkBAAxAAAAAAAkz6AAAAAVWVy490ADMLdStn x40sXYqkBAAkAAAAAAAlu4AAAAArUYs452AgZWwgNr
t2200woUBAAdAAAAAAApi2AAAAAhTTjj7bAiYfjWep qr//+893BAAHAAAAAAAO9AAAAAAAAAAAAAAXd
"""
"""For each list a letter for each of these contexts, from the first: the chance of a one in 64ths; A where not known,
as of those that are left out at the end; - where none is known."""

CHANCES = np.full(LISTS * CONTEXTS, UNKNOWN, np.int64)
"""What :func:`~bitsback.files.deflate.coder.pack` takes."""
for _row, _letters in zip(CHANCES.reshape(LISTS, CONTEXTS), _TABLE.split(), strict=True):
    for _context, _letter in zip(_TOLD, _letters.strip("-"), strict=False):
        if _letter != "A":
            _row[_context] = ONE // 64 * _DIGITS.index(_letter) << USED | _WEIGHT
CHANCES.flags.writeable = False
