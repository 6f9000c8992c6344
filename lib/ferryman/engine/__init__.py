"""Runs plans of looks and changes: journal, locks, rehearsal, the way back. Knows nothing about IPIP.

From the bottom up::

    clock, owner, database     what time it is, whose process this is, where state is kept
    steps, plan, differences   what is to be done, and what is otherwise than it was
    journal, progress          what was done: on disk, and read back as what stands in the world
    locks, lease               one run per virtual service
    store                      journal and locks together
    signals, telling           how the operator interrupts, and how everybody hears
    passage                    one run while it is made: calls a step's verbs, tells and judges
    survey, crossing, way_back the three movements: look at everything, go over, come back
    ending                     what became of a run, in words
    runner                     perform, resume, roll back
"""
