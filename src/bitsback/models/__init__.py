"""Models with weights: where they are found, and what they do to images.

>>> from bitsback.models import Model
>>> digits = Model.load("digits")
>>> digits.accepts((28, 28, 1), "uint8", 256)
True
"""

from bitsback.models.model import Model as Model
from bitsback.models.model import candidates as candidates
from bitsback.models.model import shipped as shipped
from bitsback.models.search import installed as installed
