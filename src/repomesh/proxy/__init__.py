"""The stdio MCP proxy: one process is one agent instance."""
