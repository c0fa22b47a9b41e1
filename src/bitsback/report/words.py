"""Figures and names in words."""

from __future__ import annotations


def percent(share: float) -> str:
    """
    >>> percent(0.314), percent(0.0314), percent(2.5)
    ('31 %', '3.1 %', '250 %')
    """
    return f"{100 * share:,.{0 if share >= 0.0995 else 1}f} %"


def count(number: int, what: str) -> str:
    """
    >>> count(1, "image"), count(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def size(number: float) -> str:
    """
    >>> size(431), size(1000), size(92092), size(1.5e6)
    ('431 B', '1.00 kB', '92.1 kB', '1.50 MB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 999.5 or unit == "TB":
            break
        number /= 1000
    return f"{number:.{0 if unit == 'B' or number >= 99.95 else 1 if number >= 9.995 else 2}f} {unit}"


def fit(text: str, most: int) -> str:
    """``text`` on one line, without its middle if it is long.

    >>> fit("scans/2024/box 17/sheet 0193.png", 20)
    'scans/202…t 0193.png'
    """
    text = "".join(c if c.isprintable() else "?" for c in text)
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-(most - 1 - half) :]}"


def rate(bits: float) -> str:
    """Bits/dim or bits a pixel, to as many digits as tell something.

    >>> rate(3.84567), rate(0.04321)
    ('3.85', '0.043')
    """
    return f"{bits:.{2 if bits >= 0.9995 else 3}f}"
