"""The guide as data: phases, checklists, messages, timeline, risks, contacts, questions.

The lowest layer: no I/O, and no import from the rest of the program. `index` knows every id.
"""
