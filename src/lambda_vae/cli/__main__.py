"""`python -m lambda_vae.cli`, as launchers of several processes call it."""

from lambda_vae.cli import main

if __name__ == "__main__":
    main()
