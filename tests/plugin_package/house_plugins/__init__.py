"""A scorer, a provider, a reader and an exporter of somebody else."""
