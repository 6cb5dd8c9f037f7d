"""What the engine tells the storey above. Public surface: ``replay_run_finished``."""

from django.dispatch import Signal

# Sent after commit with ``run``: a run has ended, with whatever status. May be sent twice; a sweep repeats it.
replay_run_finished = Signal()
