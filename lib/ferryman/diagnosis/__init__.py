"""Why a probe failed: the cause, not the symptom.

What failed is asked once more, also with the control host's own outer source, and every realserver's counters
and settings are read before and after. Then the rules for causes (``causes.py``) are gone through in the
order in which a packet meets what they are about; the first one that is proven is the cause.
"""

from ferryman.diagnosis.causes import CAUSE_RULES, Cause, cause_of
from ferryman.diagnosis.evidence import Evidence, ProbesAgain, evidence_of

__all__ = ["CAUSE_RULES", "Cause", "Evidence", "ProbesAgain", "cause_of", "evidence_of"]
