"""Plain readings of the papers, one file per network, that `models_speed.py` times ours against.

Each file has ``cases()``, which returns a list of `case.Case`.
"""
