"""Parts of the report of an evaluation; `segkit.report.evaluation_page` puts them together."""
