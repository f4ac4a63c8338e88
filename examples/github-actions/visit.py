import os
import sys
from pathlib import Path

import django
from django.test import Client

PAGES = ["/", "/products/teapot/", "/search/?q=tea"]  # yours: the pages that matter
TIMES = 20

sys.path.insert(0, str(Path.cwd()))  # the project in the working directory, whatever folder this file is in
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()

client = Client(raise_request_exception=False, SERVER_NAME="localhost")
for _ in range(TIMES):
    for page in PAGES:
        response = client.get(page)
        list(response)  # a stream is read to its end
        response.close()
