"""Which argument of `search` trades speed for recall, and in what range."""

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearfield.index import Index

__all__ = ["current_setting", "default_grid", "search_setting", "setting_range"]

KNOWN = ("ef_search", "nprobe")


def search_setting(index: "Index") -> str | None:
    """Name the argument, None for an index that is exact."""
    parameters = inspect.signature(index.search).parameters  # type: ignore[attr-defined]
    return next((name for name in KNOWN if name in parameters), None)


def current_setting(index: "Index") -> dict[str, int]:
    """Give the setting that `search` uses when told nothing."""
    name = search_setting(index)
    return {} if name is None else {name: int(getattr(index, name))}


def setting_range(index: "Index", k: int) -> tuple[int, int]:
    """Give the least and the greatest value that make sense."""
    if search_setting(index) == "nprobe":
        return 1, max(1, int(index.nlist))  # type: ignore[attr-defined]
    return max(1, k), max(k, min(len(index), 65_536))


def default_grid(index: "Index", k: int, steps: int = 7) -> list[int]:
    """Give values a factor of two apart, from the least that makes sense, and the present one."""
    least, greatest = setting_range(index, k)
    values = [least]
    while len(values) < steps and values[-1] < greatest:
        values.append(min(greatest, values[-1] * 2))
    present = (max(least, value) for value in current_setting(index).values())
    return sorted({*values, *present})
