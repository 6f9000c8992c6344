"""Network policies: whom they cut off, and whom a change of them would."""
