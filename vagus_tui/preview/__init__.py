"""Looking at single plans and users before anything is built and after it is in place: v1 beside v2, and why.

Everything is computed in the server by the mapping's own SELECTs, limited to one plan, so that what is shown is what
the migration will do; after the migration it is read from v2's tables.
"""
