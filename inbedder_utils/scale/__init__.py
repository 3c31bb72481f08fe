"""A corpus on a Ray cluster (extra `scale`): the engine is Ray Data, and this is the piece that asks.

from inbedder_utils.scale import encode_files

encode_files("big/*.parquet", "vectors", questions="How does the customer feel?")
"""

from inbedder_utils.scale.cluster import connect
from inbedder_utils.scale.files import Encoded, encode_files
from inbedder_utils.scale.rows import Asked, AskRows, encode_dataset

__all__ = ["AskRows", "Asked", "Encoded", "connect", "encode_dataset", "encode_files"]
