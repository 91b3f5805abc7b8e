"""What is not collected: the examples of `fastdrop.torch` where PyTorch is not installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["fastdrop/torch"]
