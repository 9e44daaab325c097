"""What experiment trackers leave behind, as loss tables with one row for each run."""

from scalefit.trackers.event_files import tensorboard as tensorboard
from scalefit.trackers.histories import Histories as Histories
from scalefit.trackers.log_files import logs as logs
from scalefit.trackers.mlflow_stores import mlflow as mlflow
from scalefit.trackers.trainer_states import huggingface as huggingface
from scalefit.trackers.wandb_exports import wandb as wandb
