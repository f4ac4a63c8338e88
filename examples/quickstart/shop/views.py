import asyncio
import logging
from collections.abc import AsyncIterator

import structlog
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_POST

from obs_middleware import bind, timed
from shop.models import Product

logger = logging.getLogger("shop.checkout")
stock = structlog.get_logger("shop.stock")


async def home(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"shop": "Kettle & Cup", "products": await Product.objects.acount()})


def product_list(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"products": list(Product.objects.values("slug", "name", "price_cents"))})


async def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    product = await Product.objects.filter(slug=slug).afirst()
    if product is None:
        raise Http404(slug)
    return JsonResponse({"name": product.name, "price_cents": product.price_cents})


async def search(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0.3)  # a slow search service
    found = Product.objects.filter(name__icontains=request.GET.get("q", ""))
    return JsonResponse({"found": [product.name async for product in found]})


@require_POST
async def checkout(request: HttpRequest) -> HttpResponse:
    slugs = request.POST.getlist("item")
    bind(cart_id=request.POST.get("cart"), items=len(slugs))

    total = await Product.objects.filter(slug__in=slugs).aaggregate(cents=Sum("price_cents", default=0))
    stock.info("Stock reserved", warehouse="Rotterdam")
    with timed("payment"):
        await asyncio.sleep(0.05)  # the payment service
    logger.info("Paid %d cents", total["cents"])
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
