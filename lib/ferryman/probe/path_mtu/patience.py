"""How long answers are waited for, and how many paths are measured at once.

Routers of hardware send few ICMP errors a second, and Linux, as a host, sends each address one "port
unreachable" a second after six at once (icmp_ratelimit; errors about sizes it does not limit). Whoever asks
faster takes a router that is sparing for one that is silent.
"""

USUAL_S = (0.4, 0.8, 1.2)
"""Seconds that the tries of a size wait, one after the other; what comes later counts as well."""
ALONE_S = (1.1, 1.1, 1.5)
"""As above, for what is asked while nothing else is: each comes after an error may be sent again."""
AT_ONCE = 6
"""Searches under way at the same time."""
DNS_S = (1.0, 2.0, 2.0)
"""Seconds that the tries of a question wait; a resolver may have to ask others first."""
FRAGMENTS_S = 1.0
"""Seconds that the other fragments are waited for once one has come."""
