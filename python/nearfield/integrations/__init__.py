"""nearfield inside other libraries; each module needs its library and is imported when named.

=======================  =================================================================
sklearn                  `ANNTransformer`, in the place of `KNeighborsTransformer`
umap                     neighbours for UMAP and openTSNE
langchain                `NearfieldVectorStore`
llama_index              `NearfieldVectorStore`
haystack                 `NearfieldDocumentStore`, `NearfieldEmbeddingRetriever`
sentence_transformers    `semantic_search`
mteb                     `NearfieldSearchIndex`, a backend of `SearchEncoderWrapper`
txtai                    `NearfieldANN`, a backend by its dotted name
vicinity                 `NearfieldBackend`
bertopic                 `topic_model`, reduction and clustering on our graph of neighbours
datasets                 `add_index`, `CustomIndex` for ``add_faiss_index(custom_index=)``
=======================  =================================================================
"""

import importlib
from types import ModuleType

__all__ = [
    "bertopic",
    "datasets",
    "haystack",
    "langchain",
    "llama_index",
    "mteb",
    "sentence_transformers",
    "sklearn",
    "txtai",
    "umap",
    "vicinity",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"nearfield.integrations.{name}")
    raise AttributeError(f"module 'nearfield.integrations' has no attribute {name!r}")
