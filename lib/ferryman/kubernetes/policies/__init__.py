"""Network policies of Kubernetes, its administrators and Calico: who reaches whom. Only reads."""
