"""The MTU of Kubernetes pods: which are too large for the tunnel, and how that ends."""
