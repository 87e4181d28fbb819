"""The one port: server, Host and Origin checks, tokens, health. Nothing is imported here: uvicorn is for the server alone."""
