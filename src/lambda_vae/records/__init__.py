"""Records: what runs and comparisons left on disk, read back and checked."""

from lambda_vae.records.read import ComparisonRecord, RunRecord, load_comparison, load_record, load_run
from lambda_vae.records.run_row import RunRow

__all__ = ["ComparisonRecord", "RunRecord", "RunRow", "load_comparison", "load_record", "load_run"]
