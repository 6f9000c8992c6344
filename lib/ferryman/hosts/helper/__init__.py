"""Verbs on hosts that are reached by a user without root: sudo, and a program there that holds their scripts.

``on_host`` is that program, ``forms`` says which arguments it takes for each verb and who needs the verb,
``render`` makes the files for a host, ``sudo`` asks, and says what is missing where that fails.
"""
