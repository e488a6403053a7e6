from cli_process import bars, cli, own_cache  # noqa: F401
