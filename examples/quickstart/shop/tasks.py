import logging
import time

from celery import shared_task

from obs_middleware import annotate, timed
from shop.models import Product

logger = logging.getLogger("shop.receipts")


@shared_task
def send_receipt(slugs: list[str]) -> None:
    names = Product.objects.filter(slug__in=slugs).values_list("name", flat=True)
    annotate(products=len(names))
    with timed("mail"):
        time.sleep(0.02)  # the mail server
    logger.info("Receipt sent")
    reserve_stock.delay(slugs)


@shared_task
def reserve_stock(slugs: list[str]) -> None:
    time.sleep(0.01)  # the warehouse
