"""The site for WSGI servers, which says that it was loaded: by a parent of workers, or by each."""

import logging

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
logging.getLogger("site").info("loaded")
