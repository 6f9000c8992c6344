"""IPVS: a director's table, its connections and its schedulers, as the kernel lists them."""
