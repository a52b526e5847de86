"""`SearchParameters` and its kinds: settings of one search."""

from __future__ import annotations

from typing import Any

from nearfield.compat.faiss.selectors import IDSelector

__all__ = [
    "IVFPQSearchParameters",
    "IVFSearchParameters",
    "IndexRefineSearchParameters",
    "SearchParameters",
    "SearchParametersHNSW",
    "SearchParametersIVF",
    "SearchParametersPQ",
    "SearchParametersPreTransform",
]


class SearchParameters:
    """Settings of one search, by keyword. AssertionError for an unknown one.

    `sel` : an `IDSelector`, or None for all ids.
    """

    sel: IDSelector | None = None

    def __init__(self, **settings: Any) -> None:
        for name, value in settings.items():
            if name.startswith("_") or not hasattr(self, name):
                raise AssertionError(f"{type(self).__name__} has no setting {name!r}")
            setattr(self, name, value)


class SearchParametersHNSW(SearchParameters):
    """`efSearch` : candidates kept while searching."""

    efSearch: int = 16  # noqa: N815 (faiss's name)
    check_relative_distance: bool = True
    bounded_queue: bool = True


class SearchParametersIVF(SearchParameters):
    """`nprobe` : lists opened."""

    nprobe: int = 1
    max_codes: int = 0
    quantizer_params: SearchParameters | None = None


IVFSearchParameters = SearchParametersIVF


class IVFPQSearchParameters(SearchParametersIVF):
    """As `SearchParametersIVF`; what else faiss's has is about its own tables."""

    scan_table_threshold: int = 0
    polysemous_ht: int = 0


class SearchParametersPQ(SearchParameters):
    """As `SearchParameters`."""

    polysemous_ht: int = 0


class SearchParametersPreTransform(SearchParameters):
    """`index_params` : settings for the index behind the transforms."""

    index_params: SearchParameters | None = None


class IndexRefineSearchParameters(SearchParameters):
    """`k_factor` : how many times k the base index is asked for; `base_index_params` for it."""

    k_factor: float = 1.0
    base_index_params: SearchParameters | None = None
