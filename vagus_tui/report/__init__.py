"""The report: what was done, by whom, when and with which result, put together from the journal for people."""
