"""Send requests that enqueue tasks: each argument is the query string of one, and its id."""

import os
import sys

import django
from django.test import Client
from django.test.utils import setup_test_environment

os.environ["DJANGO_SETTINGS_MODULE"] = "work.tasks_site.settings"
django.setup()
setup_test_environment()
for query in sys.argv[1:]:
    response = Client().get(f"/?{query}", headers={"X-Request-ID": query})
    assert response.status_code == 200
