"""The database: models, migrations, recording, outbox, retention, queries."""
