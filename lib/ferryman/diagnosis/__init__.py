"""Why a probe failed: the cause, not the symptom.

What failed is asked once more, also with the control host's own outer source, and every realserver's counters
and settings are read before and after. Then the suspects (``suspects.py``) are gone through in the order in
which a packet meets them; the first one that something proves is the cause.
"""

from ferryman.diagnosis.evidence import Evidence, evidence_of
from ferryman.diagnosis.suspects import SUSPECTS, Cause, cause_of

__all__ = ["SUSPECTS", "Cause", "Evidence", "cause_of", "evidence_of"]
