from hostsite.settings import *  # noqa: F403
from hostsite.settings import DATA

CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(DATA / "own"),
    "data_folder_out": str(DATA / "own"),
    "control_folder": str(DATA / "control"),
}
CELERY_BEAT_SCHEDULE = {"nightly": {"task": "hostcelery.of_the_host", "schedule": 86_400}}
