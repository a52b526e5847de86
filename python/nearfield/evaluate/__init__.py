"""How good an index is: recall, latency, memory, and what to do about them."""

from nearfield.evaluate.build import build
from nearfield.evaluate.estimate import Estimate, estimate
from nearfield.evaluate.ground_truth import ground_truth
from nearfield.evaluate.index_report import evaluate
from nearfield.evaluate.latency import Latency, measure_latency, measure_qps, peak_rss
from nearfield.evaluate.metrics import MetricComparison, MetricScore, compare_metrics
from nearfield.evaluate.recall import Interval, recall_at_k, recall_interval, recall_per_query
from nearfield.evaluate.report import Report
from nearfield.evaluate.sweep import SweepRow, pareto_front, sweep
from nearfield.evaluate.tune import Tuning, tune

__all__ = [
    "Estimate",
    "Interval",
    "Latency",
    "MetricComparison",
    "MetricScore",
    "Report",
    "SweepRow",
    "Tuning",
    "build",
    "compare_metrics",
    "estimate",
    "evaluate",
    "ground_truth",
    "measure_latency",
    "measure_qps",
    "pareto_front",
    "peak_rss",
    "recall_at_k",
    "recall_interval",
    "recall_per_query",
    "sweep",
    "tune",
]
