"""Why a probe or an exchange failed: the cause, not the symptom.

What failed is asked once more, also with the control host's own outer source, and every realserver's counters
and settings are read before and after. Then the rules for causes (``causes.py``) are gone through in the
order in which a packet meets what they are about; the first one that is proven is the cause.
"""

from ferryman.diagnosis.causes import CAUSE_RULES, Cause, cause_of
from ferryman.diagnosis.evidence import Evidence, ProbesAgain, evidence_of
from ferryman.diagnosis.exchange_causes import EXCHANGE_RULES, exchange_cause_of
from ferryman.diagnosis.exchange_evidence import ExchangeEvidence, exchange_evidence

__all__ = [
    "CAUSE_RULES",
    "EXCHANGE_RULES",
    "Cause",
    "Evidence",
    "ExchangeEvidence",
    "ProbesAgain",
    "cause_of",
    "evidence_of",
    "exchange_cause_of",
    "exchange_evidence",
]
