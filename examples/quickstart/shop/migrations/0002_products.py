from typing import Any

from django.db import migrations
from django.utils.text import slugify

PRODUCTS = {
    "Assam tea": 690,
    "Bread knife": 3450,
    "Butter dish": 1890,
    "Cast-iron pan": 5900,
    "Chopping board": 2750,
    "Coffee grinder": 6400,
    "Darjeeling tea": 890,
    "Egg timer": 1250,
    "Enamel mug": 990,
    "Flour sieve": 1690,
    "French press": 3290,
    "Kitchen scale": 4200,
    "Lemon squeezer": 1490,
    "Linen towel": 1150,
    "Milk jug": 1790,
    "Oolong tea": 1090,
    "Pepper mill": 2990,
    "Soup ladle": 1390,
    "Tea strainer": 590,
    "Teapot": 3890,
}


def fill_the_shelves(apps: Any, _: Any) -> None:
    maker, product = apps.get_model("shop", "Maker"), apps.get_model("shop", "Product")
    makers = [maker.objects.create(name=name) for name in ("Brew & Sons", "Hearth", "Mill Lane")]
    product.objects.bulk_create(
        product(slug=slugify(name), name=name, price_cents=price, maker=makers[number % len(makers)])
        for number, (name, price) in enumerate(PRODUCTS.items())
    )


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [migrations.RunPython(fill_the_shelves, migrations.RunPython.noop)]
