"""Importing tensorflow: late, because it takes seconds, and quietly."""

import os
from types import ModuleType


def load_tensorflow() -> ModuleType:
    """The module `tensorflow`, kept off GPUs (it only reads data here) and from logging on standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    module: ModuleType = tf
    tf.config.set_visible_devices([], "GPU")
    tf.get_logger().setLevel("ERROR")
    return module
