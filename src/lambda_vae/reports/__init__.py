"""Tables, figures and the HTML page, made from records on disk and never from models."""

from lambda_vae.reports.console import print_comparison as print_comparison
from lambda_vae.reports.console import verdict_lines as verdict_lines
from lambda_vae.reports.figures import equalization_figure as equalization_figure
from lambda_vae.reports.figures import exponent_figure as exponent_figure
from lambda_vae.reports.figures import frontier_figure as frontier_figure
from lambda_vae.reports.figures import image_figure as image_figure
from lambda_vae.reports.figures import learning_curves as learning_curves
from lambda_vae.reports.figures import theory_figure as theory_figure
from lambda_vae.reports.page import write_report as write_report
from lambda_vae.reports.records import ComparisonRecord as ComparisonRecord
from lambda_vae.reports.records import RunRecord as RunRecord
from lambda_vae.reports.records import load_comparison as load_comparison
from lambda_vae.reports.records import load_record as load_record
from lambda_vae.reports.records import load_run as load_run
from lambda_vae.reports.style import save_figure as save_figure
from lambda_vae.reports.tables import comparison_table as comparison_table
