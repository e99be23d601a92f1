from __future__ import annotations

from pathlib import Path

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.config.compose import load
from segkit.training.model_settings import settings_of_training
from segkit.training.outputs.run_folder import write_start

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


def test_the_table_of_groups_is_found_where_the_run_names_it(tmp_path: Path) -> None:
    # The bundle has the name of the table only, because its folder may name a person.
    frozen = read_bundle(FROZEN)
    table = tmp_path / "anna" / "sites.csv"
    config = load(["dataset=/anna/ct", f"dataset.groups={table}", "folds_by=group"])
    write_start(tmp_path, frozen.plan, config)
    settings = {"dataset": {"groups": str(table)}, "folds_by": "group", "format_version": 1}
    states = {"0": frozen.state("0")}
    model = write_bundle(tmp_path / "bundle", frozen.plan, {"name": "m"}, states, settings)
    of_run = settings_of_training(model)
    assert of_run is not None
    assert of_run.dataset.groups == str(table)
    (tmp_path / "config.yaml").unlink()
    stored = settings_of_training(model)
    assert stored is not None
    assert stored.dataset.groups == "sites.csv"
