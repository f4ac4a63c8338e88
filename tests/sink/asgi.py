"""The site for ASGI servers, which says that it was loaded: by a parent of workers, or by each."""

import logging

from django.core.asgi import get_asgi_application

application = get_asgi_application()
logging.getLogger("site").info("loaded")
