"""``data import``: list a source, check each file, freeze the split, upload what is missing, seal with a manifest.

``importing`` is the whole act; ``checks`` judges files, ``split`` assigns them, ``frozen`` keeps assignments in S3,
``publish`` uploads, ``index`` remembers files that did not change, ``sheet`` draws the overview.
"""
