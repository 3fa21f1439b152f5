"""PROCESS: sole owner of the database; delivers the outbox."""
