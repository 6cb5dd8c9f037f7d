"""The bundled site as tests run it: a data directory of its own, loopback as the only world."""

import os
import tempfile

# Before the settings are read: a test never touches the developer's own data.
os.environ["PILOTS_DATA_DIR"] = tempfile.mkdtemp(prefix="pilots-test-")
os.environ["PILOTS_SECRET_KEY"] = "only for tests"
os.environ["PILOTS_EGRESS_ALLOW"] = "127.0.0.0/8"
os.environ.setdefault("EMAIL_URL", "memorymail://")

from config.settings import *  # noqa: F403

# Hashing for real costs a fifth of a second a user.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
