"""Diagnosis of a gradient: growth, contacts, kinks and variances, as far as the objective gives them."""

from .contacts import ContactChanges, PairChanges, contact_changes
from .diagnose import Diagnosis, diagnose
from .horizon import HorizonVariance, variance_by_horizon
from .kinks import Kink, nearby_kinks
from .linearized_rollout import Steps, TorchSteps
from .spectrum import Spectrum, spectrum
from .verdicts import DiagnosisVerdict

__all__ = [
    "ContactChanges",
    "Diagnosis",
    "DiagnosisVerdict",
    "HorizonVariance",
    "Kink",
    "PairChanges",
    "Spectrum",
    "Steps",
    "TorchSteps",
    "contact_changes",
    "diagnose",
    "nearby_kinks",
    "spectrum",
    "variance_by_horizon",
]
