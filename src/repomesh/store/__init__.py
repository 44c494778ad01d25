"""The only place that knows a database: transactions, engines, the event log, migrations."""
