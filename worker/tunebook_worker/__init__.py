"""On a training host: takes trials over HTTP, each under a supervisor of its own; leaves nothing behind."""
