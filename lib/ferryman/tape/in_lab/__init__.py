"""A recorded run again on lab hosts: which lab stands for its world, the recorded state in it, the judgement.

image.py says which lab it is and what stands for which name and address; state.py reads the state off the
tape; realservers.py, firewall.py and directors.py make the scripts that put it in, and putting.py runs them;
unlike.py says what cannot be imitated; judging.py compares. The command line boots the lab and runs the
cookbook in between.
"""
