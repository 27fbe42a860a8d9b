"""The one way to the API, in process or over HTTP."""
