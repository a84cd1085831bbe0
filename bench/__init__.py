"""Parley beside a plain server: the same load, the same provider, the same machine.

    make bench          or: python -m bench [--only parley] [--scenarios at_rest]

Each scenario (`scenarios/`, one file each) is measured on each subject: Parley as
`python serve_app.py` runs it, and the baseline of `baseline.py`. The load generator (`load.py`)
and the simulator are processes of their own, and no part of what is measured.
"""
