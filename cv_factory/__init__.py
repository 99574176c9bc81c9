"""For the person at the keyboard: the command line, the operations behind it, and a small client for applications.

``cli`` (one module a group of verbs) → ``operations`` (what a verb does, without a screen) → the other rooms. Heavy
imports happen inside the commands that need them.
"""
