"""One file per vendor dialect; each translates bodies from and to the neutral ``Call`` and ``Reply`` of ``base``."""
