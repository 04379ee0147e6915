"""Where attempts run: on this host, or wherever an engine (Slurm, Ray, Kubernetes) places them."""
