"""The official Python client of the Model Context Protocol, in both of its ways to begin.

Further arguments: a key that may write, a key of the same user that only reads, a photo of that user, and one of another.
"""

import asyncio
import base64
import io
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from lucida import check, server

WRITER, READER, PHOTO, FOREIGN_PHOTO = sys.argv[2:]
LOOKS = ["search_photos", "similar_photos", "get_photo", "list_tags", "library_stats"]


def connect(key: str, mode: str) -> Client:
    http = httpx2.AsyncClient(headers={"x-api-key": key}, timeout=60)
    return Client(streamable_http_client(f"{server()}/mcp", http_client=http), mode=mode)


async def look(client: Client) -> None:
    """What a key that only reads can do."""
    tools = (await client.list_tools()).tools
    check("tools", [tool.name for tool in tools] == LOOKS, [tool.name for tool in tools])
    check("described", all(tool.description and tool.annotations.read_only_hint for tool in tools), len(tools))

    found = await client.call_tool("search_photos", {"text": "a red square", "limit": 5})
    ids = [hit["id"] for hit in found.structured_content["hits"]]
    check("found", PHOTO in ids and FOREIGN_PHOTO not in ids, ids)
    similar = await client.call_tool("similar_photos", {"photo_id": PHOTO})
    ids = [hit["id"] for hit in similar.structured_content["hits"]]
    check("similar", len(ids) == 1 and PHOTO not in ids, ids)

    photo = await client.call_tool("get_photo", {"photo_id": PHOTO})
    check("photo", photo.structured_content["state"] == "ready", photo.structured_content)
    picture = photo.content[1]
    size = Image.open(io.BytesIO(base64.b64decode(picture.data))).size
    check("picture", (picture.mime_type, size) == ("image/jpeg", (400, 300)), size)

    counts = await client.call_tool("library_stats", {})
    check("counts", counts.structured_content["photos"]["ready"] == 2, counts.structured_content)

    foreign = await client.call_tool("get_photo", {"photo_id": FOREIGN_PHOTO})
    check("another user's photo", foreign.is_error and "not found" in foreign.content[0].text, foreign.content)
    wrong = await client.call_tool("search_photos", {"text": "a", "limit": 0})
    check("wrong argument", wrong.is_error and "search.max_limit" in wrong.content[0].text, wrong.content)
    change = await client.call_tool("tag_photo", {"photo_id": PHOTO, "add": ["seen"]})
    check("no change", change.is_error and "`write`" in change.content[0].text, change.content)


async def tag(client: Client) -> None:
    """What a key that writes can do as well."""
    tools = [tool.name for tool in (await client.list_tools()).tools]
    check("tools of a writer", tools == [*LOOKS, "tag_photo"], tools)
    changed = await client.call_tool("tag_photo", {"photo_id": PHOTO, "add": ["seen"]})
    check("tagged", "seen" in changed.structured_content["tags"], changed.structured_content["tags"])
    tags = (await client.call_tool("list_tags", {})).structured_content["tags"]
    check("tags", {"tag": "seen", "photos": 1} in tags, tags)
    found = await client.call_tool("search_photos", {"text": "square", "filter": {"tags": ["seen"]}})
    check("found by its tag", [hit["id"] for hit in found.structured_content["hits"]] == [PHOTO], found.content)
    back = await client.call_tool("tag_photo", {"photo_id": PHOTO, "remove": ["seen"]})
    check("untagged", back.structured_content["tags"] == [], back.structured_content["tags"])


async def main() -> None:
    # "legacy" begins with `initialize`, "auto" with `server/discover`, which newer revisions have.
    for mode in ["legacy", "auto"]:
        async with connect(READER, mode) as client:
            await look(client)
        async with connect(WRITER, mode) as client:
            await tag(client)
    try:
        async with connect("not-a-key", "legacy"):
            raise SystemExit("a wrong key was let in")
    except Exception as error:  # pylint: disable=broad-except
        check("wrong key", "the key is not valid" in flat(error), flat(error))


def flat(error: BaseException) -> str:
    """Returns the text of an error and of those in it."""
    inner = getattr(error, "exceptions", [])
    return " ".join([str(error), *map(flat, inner)])


asyncio.run(main())
