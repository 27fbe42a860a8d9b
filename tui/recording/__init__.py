"""Pictures of the dashboard, made by itself."""
