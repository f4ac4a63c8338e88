"""The settings of RQ's workers. RQ knows nothing of Django, so they set it up."""

import os
import sys

import django

from obs_middleware import logging_config

SECRET_KEY = "of a test"
INSTALLED_APPS = ["obs_middleware"]
LOGGING = logging_config(file=os.environ["RQ_LOG"], nonblocking=True)
USE_TZ = True

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "work.rq_settings"
    django.setup()
    from rq.cli import main  # type: ignore[attr-defined]  # the command `rq`

    sys.exit(main())
