"""Rehearsals: a scenario is played on lab hosts with the real command, and its end compared with the file.

    scenarios = read([Path("scenarios")], Known(…))      # every file is judged before any lab is booted
    results = rehearse(scenarios, stages, labs=2, tell=…)

``docs/rehearsals.md`` has it for people.
"""
