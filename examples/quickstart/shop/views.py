import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import structlog
from django.conf import settings
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_POST

from obs_middleware import bind, timed
from shop.models import Product
from shop.tasks import send_receipt

logger = logging.getLogger("shop.checkout")
stock = structlog.get_logger("shop.stock")


async def home(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"shop": "Kettle & Cup", "products": await Product.objects.acount()})


def product_list(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"products": [as_json(product) for product in Product.objects.all()]})


def as_json(product: Product) -> dict[str, Any]:
    maker = product.maker.name  # a query for each product: the view should use select_related("maker")
    return {"slug": product.slug, "name": product.name, "price_cents": product.price_cents, "maker": maker}


async def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    product = await Product.objects.filter(slug=slug).afirst()
    if product is None:
        raise Http404(slug)
    return JsonResponse({"name": product.name, "price_cents": product.price_cents})


async def search(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "")
    await asyncio.to_thread(suggest, words)
    found = Product.objects.filter(name__icontains=words)
    return JsonResponse({"found": [product.name async for product in found]})


def suggest(words: str) -> None:
    if settings.SEARCH:
        urlopen(f"{settings.SEARCH}?q={quote(words)}").close()  # a slow service


async def invoice(request: HttpRequest) -> HttpResponse:
    return HttpResponse(draw_invoice(), content_type="application/pdf")


def draw_invoice() -> bytes:
    time.sleep(0.15)  # work in an async view, which holds all other requests
    return b"%PDF-1.7"


@require_POST
async def checkout(request: HttpRequest) -> HttpResponse:
    slugs = request.POST.getlist("item")
    bind(cart_id=request.POST.get("cart"), items=len(slugs))

    total = await Product.objects.filter(slug__in=slugs).aaggregate(cents=Sum("price_cents", default=0))
    stock.info("Stock reserved", warehouse="Rotterdam")
    with timed("payment"):
        await asyncio.sleep(0.05)  # the payment service
    logger.info("Paid %d cents", total["cents"])
    await asyncio.to_thread(send_receipt.delay, slugs)
    return JsonResponse({"paid_cents": total["cents"]})


async def export(request: HttpRequest) -> StreamingHttpResponse:
    async def rows() -> AsyncIterator[str]:
        yield "slug,name,price_cents\n"
        async for product in Product.objects.all():
            yield f"{product.slug},{product.name},{product.price_cents}\n"

    return StreamingHttpResponse(rows(), content_type="text/csv")


def report(request: HttpRequest) -> HttpResponse:
    revenue_cents, orders = 0, 0  # a day without orders, which divides by zero
    return JsonResponse({"average_cents": revenue_cents / orders})


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")
