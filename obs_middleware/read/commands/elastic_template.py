"""
``obs-middleware elastic-template``: print the templates that tell a store the types of the fields.

This is the only module of ``read`` that imports another wing: the templates are made from the table of fields in
`obs_middleware.logs.elastic`. It reads no log lines.
"""

from __future__ import annotations

import argparse
import json
import sys

from obs_middleware.logs.elastic import PRIORITY, PRODUCTS, templates
from obs_middleware.read.index.access import refuse_access

__all__ = ["configure", "run"]

BAD = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``elastic-template``."""
    parser.description = (
        "Print the component template and the index template for lines of the schema `ecs`: a JSON object of API paths "
        "and bodies. Send them in this order. With --part, print one body, ready for `curl -X PUT -d @-`."
    )
    refuse_access(parser, "this command asks no search engine; --for opensearch chooses the templates of OpenSearch")
    parser.add_argument(
        "--for",
        dest="product",
        choices=PRODUCTS,
        default="elasticsearch",
        help="the search engine that takes the templates: elasticsearch (8.13 or newer; the default), elasticsearch-7 "
        "(7.10 or newer, also the free edition OSS; ordinary indices) or opensearch",
    )
    parser.add_argument("--dataset", default="django", help="data streams logs-DATASET-* (default: %(default)s)")
    parser.add_argument("--pattern", help="names of streams or indices, instead of logs-DATASET-*")
    parser.add_argument(
        "--priority", type=int, default=PRIORITY, help="priority of the index template (default: %(default)s)"
    )
    parser.add_argument("--plain", action="store_true", help="for ordinary indices, not data streams")
    parser.add_argument("--part", choices=("component", "index"), help="print the body of this template alone")


def run(arguments: argparse.Namespace) -> int:
    """
    Print the templates.

    Returns:
        0, or 2 if the dataset cannot be part of the name of a data stream.
    """
    try:
        component, index = templates(
            arguments.dataset,
            pattern=arguments.pattern,
            priority=arguments.priority,
            plain=arguments.plain,
            product=arguments.product,
        ).items()
    except ValueError as error:
        print(f"obs-middleware elastic-template: {error}", file=sys.stderr)
        return BAD
    printed = {"component": component[1], "index": index[1]}.get(arguments.part) or dict([component, index])
    print(json.dumps(printed, indent=2))
    return 0
