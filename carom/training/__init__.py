"""Training of policies on closed-loop tasks: one actor-critic with any gradient, and PPO beside it."""

from .actor_critic import ActorCritic
from .analytic import Analytic
from .by_backend import ByBackend
from .errors import PolicyFileError, TrainingError
from .evaluation import Evaluation, evaluate, unseen, wilson_interval
from .lax import LAX
from .method import Method, Trained
from .mixture import Mixture
from .policy import Policy, load_policy, save_policy
from .score_function import ScoreFunction
from .targets import td_lambda_targets
from .train import Training, train

__all__ = [
    "LAX",
    "ActorCritic",
    "Analytic",
    "ByBackend",
    "Evaluation",
    "Method",
    "Mixture",
    "Policy",
    "PolicyFileError",
    "ScoreFunction",
    "Trained",
    "Training",
    "TrainingError",
    "evaluate",
    "load_policy",
    "save_policy",
    "td_lambda_targets",
    "train",
    "unseen",
    "wilson_interval",
]
