"""``report.html``: one self-contained file for people. No script, no network, light and dark.

``page`` puts the sections together, ``charts`` draws, ``pictures`` makes thumbnails, ``style`` is the style sheet.
"""
