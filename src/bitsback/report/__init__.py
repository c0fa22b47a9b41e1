"""What pages for people are made of: words, charts, pictures, and views into a model. Training and the lab share it.

Charts need matplotlib, which this room imports only when one is drawn.
"""
