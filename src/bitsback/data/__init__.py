"""Collections of images to learn from and to measure with, without torch.

``collection`` and its ``sources`` give images by number, ``load`` reads many, ``look`` tells what they are like,
``types`` what a model can be for, ``split`` holds some out; ``peers`` are the codecs to compare with, ``mnist`` a data
set.
"""
