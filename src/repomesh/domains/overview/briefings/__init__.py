"""What an agent is told when it joins, or has lost its context."""
