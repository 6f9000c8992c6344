"""Runs plans of looks and changes: journal, locks, dry run, rollback. Knows nothing about IPIP.

From the bottom up::

    clock, process             what time it is, whose process this is
    steps, plan, diff          what is to be done, and what differs from the state before
    progress                   what was done, read back from the journal as the changes that are applied
    lease                      keeps the run this process's own
    signals, event_log         how the operator interrupts; events to subscribers and to the journal
    run_context                one run while it is made: calls a step's verbs, reports and judges
    verification               looks again at what was made, or put back
    preflight, execute, rollback, resume    the movements: check everything, change, put back, load a run
    watch, retries             looks that go on while the run asks, waits or soaks
    recovery, results          the state per host, the commands by hand, and the run's result in words
    runner                     perform, resume, roll back
    force_close                gives up a run that a person put right by hand
"""
