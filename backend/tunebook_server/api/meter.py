"""What this process counts of itself, for Prometheus: labels are route templates and words of ours alone."""

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"


class Meter:
    """One an application; `registry` holds its counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tunebook_http_requests", "Answers.", ("route", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "tunebook_http_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("route", "method"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._points = Counter(
            "tunebook_ingested_points", "Points of reports, repetitions left out.", registry=self.registry
        )
        self._bytes = Counter("tunebook_ingested_bytes", "Bodies of reports.", registry=self.registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else "other"
        self._requests.labels(route, method, f"{status // 100}xx").inc()
        self._seconds.labels(route, method).observe(seconds)

    def ingested(self, points: int, size_bytes: int) -> None:
        self._points.inc(points)
        self._bytes.inc(size_bytes)
