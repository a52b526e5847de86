"""`nearfield demo`: real passages in two languages, embedded, asked, measured and drawn."""

from nearfield.demo.run import DemoOptions, run

__all__ = ["DemoOptions", "run"]
