import sys, tempfile
from pathlib import Path
from benchmarks.processes import workers
from benchmarks.rows import ROWS
from benchmarks.timing import time_rows, costs
import argparse, statistics

p = argparse.ArgumentParser()
p.add_argument("what", choices=["counts", "chains"])
p.add_argument("--handler", default="watched")
p.add_argument("--rounds", type=int, default=20)
p.add_argument("--batch", type=int, default=50)
p.add_argument("--generations", type=int, default=3)
p.add_argument("--rows", default=",".join(ROWS))
p.add_argument("--drivers", default=None)
a = p.parse_args()
rows = a.rows.split(",")
if a.what == "counts":
    for driver in (a.drivers or "async chain,sync chain,ASGI handler,WSGI handler").split(","):
        with tempfile.TemporaryDirectory() as d, workers(rows, driver, Path(d), a.handler) as ws:
            base = None
            for w in ws:
                c = w.ask("count", 20)
                base = base or c
                print(f"{driver:14} {w.row:15} {c['calls']:8.2f} +{c['calls']-base['calls']:8.2f} hops {c['hops']} sql {c['queries']}")
                if True: print(w.ask("lines"))
else:
    for driver in (a.drivers or "async chain,sync chain").split(","):
        t = time_rows(rows, driver, handler=a.handler, rounds=a.rounds, batch=a.batch, generations=a.generations)
        print(driver, a.handler)
        for row, c in costs(t).items():
            print(f"  {row:15} {statistics.median(t[row])/1000:8.2f} us  +{c.added_us:8.2f} us  {c.ratio:6.2f}x  ({c.low:.2f} to {c.high:.2f})")
