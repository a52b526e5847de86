"""What a set of vectors holds: near-duplicates, oddities, groups, topics, and maps of them."""

from nearfield.explore.clusters import hdbscan
from nearfield.explore.duplicates import near_duplicates
from nearfield.explore.graph import KnnGraph, knn_graph
from nearfield.explore.maps import map_points, write_map
from nearfield.explore.outliers import Anomalies, anomalies
from nearfield.explore.suggest import mmr, recommend
from nearfield.explore.topics import Topics, topics

__all__ = [
    "Anomalies",
    "KnnGraph",
    "Topics",
    "anomalies",
    "hdbscan",
    "knn_graph",
    "map_points",
    "mmr",
    "near_duplicates",
    "recommend",
    "topics",
    "write_map",
]
