"""Calls whatever agent stands behind an address, with the Python SDK: `client.py URL WORDS…`."""

import asyncio
import sys
import uuid

from a2a.client import create_client
from a2a.types import Message, Part, Role, SendMessageRequest


async def main() -> None:
    """Sends one message and prints the text of what comes back."""
    if len(sys.argv) < 3:
        sys.exit("usage: client.py URL WORDS…")
    url, words = sys.argv[1], " ".join(sys.argv[2:])
    client = await create_client(url)
    message = Message(message_id=str(uuid.uuid4()), role=Role.ROLE_USER, parts=[Part(text=words)])
    async for event in client.send_message(SendMessageRequest(message=message)):
        if event.HasField("artifact_update"):
            print("".join(part.text for part in event.artifact_update.artifact.parts))
        elif event.HasField("message"):
            print("".join(part.text for part in event.message.parts))
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
