"""The pods' own MTU: which of them are too large for the tunnel, and how they can be made again or eased."""
