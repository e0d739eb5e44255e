"""HTTP only: routes, schemas, server-sent events, the error table and the chat page."""
