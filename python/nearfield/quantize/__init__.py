"""Vectors to codes: each quantizer trains, encodes, decodes, and estimates distances to codes.

All give codes as (n, code_size) uint8 rows, the same for any number of threads, and are used alike:
`train`, `encode`, `decode`, `distance_table(query)` once a query, then `distances(table, codes)`.
"""

from nearfield.quantize.product import ProductQuantizer
from nearfield.quantize.rabitq import RaBitQuantizer
from nearfield.quantize.scalar import ScalarQuantizer

__all__ = ["ProductQuantizer", "RaBitQuantizer", "ScalarQuantizer"]
