"""What every floor stands on: operations, dispatch, errors, identity, limits, settings, telemetry."""
