"""What a client and a server have to agree on."""

MESSAGE_BYTES = 4 * 2**20
"""Of a request or an answer."""
