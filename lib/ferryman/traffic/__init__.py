"""Real requests through a VIP: do clients get through, and do full-size packets?"""

from ferryman.traffic.check import TrafficCheck, traffic_source
from ferryman.traffic.http_request import Request, Result, exchange

__all__ = ["Request", "Result", "TrafficCheck", "exchange", "traffic_source"]
