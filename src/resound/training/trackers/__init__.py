"""Where curves, sounds and pictures of a run go, beside its own folder: TensorBoard, MLflow, W&B, ClearML, or nowhere.

Each works without an account and without a network: by default it writes below the run folder.  What the user has set
for a tracker (``MLFLOW_TRACKING_URI``, ``WANDB_API_KEY``, ``clearml.conf``) makes it talk to a server instead.
"""

from resound.training.trackers.choice import check_tracker, open_tracker
from resound.training.trackers.tracker import Tracker

__all__ = ["Tracker", "check_tracker", "open_tracker"]
