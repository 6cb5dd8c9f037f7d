"""What is told to the storey above. Public surface: ``replay_run_finished``, ``replay_run_concluded``, ``price_saved``,
``model_changed``, ``conflict_found``, ``drift_alarmed``.

All but the first are sent inside the transaction of what they tell, so that what a receiver writes is there exactly if
that is; a receiver that raises undoes both.
"""

from django.dispatch import Signal

# Sent after commit with ``run``: a run has ended, with whatever status. May be sent twice; a sweep repeats it.
replay_run_finished = Signal()

# Sent with ``run`` and ``at``: a run has ended and what it says is kept; once for each end.
replay_run_concluded = Signal()

# Sent with ``price``, ``created`` and ``at``: a price is new, or was corrected.
price_saved = Signal()

# Sent with ``model``: what the catalogue says of it - retirement, family, vendor - has changed.
model_changed = Signal()

# Sent with ``pilot`` (of the storey above), ``at``, ``words`` (one sentence without its full stop), ``key`` (what makes
# it the same finding: told once) and ``data`` (JSON for programs): traffic contradicts what is on record.
conflict_found = Signal()

# Sent with ``alarm`` and ``at``: a model has moved while it was compared; once for each alarm.
drift_alarmed = Signal()
