"""The schema of the database: alembic's versions, written in SQL."""
