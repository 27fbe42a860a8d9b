"""Layer drivers: how a layer is made ready to be mounted."""
