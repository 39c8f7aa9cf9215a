"""The two calls of a Maskr edit and nothing else: no check, no composite. `httpx` is in every environment that needs it."""

from pathlib import Path

PATH = "/maskr/v1/services/object-removal"


def parts(prompt):
    """The upload of the picture and the mask that a prompt names."""
    image, mask = map(Path, prompt.split())
    kinds = {".jpg": "image/jpeg", ".png": "image/png"}
    return [
        (field, (file.name, file.read_bytes(), kinds[file.suffix]))
        for field, file in (("image", image), ("mask", mask))
    ]


async def edit(client, url, prompt, folder):
    """For asyncio."""
    answer = await client.post(url + PATH, files=parts(prompt))
    answer.raise_for_status()
    picture = await client.get(answer.json()["result"]["output_url"])
    return keep(picture, prompt, folder)


def edit_in_a_thread(client, url, prompt, folder):
    """The same for threads."""
    answer = client.post(url + PATH, files=parts(prompt))
    answer.raise_for_status()
    return keep(client.get(answer.json()["result"]["output_url"]), prompt, folder)


def keep(picture, prompt, folder):
    file = folder / Path(prompt.split()[0]).with_suffix(".png").name
    file.write_bytes(picture.content)
    return str(file)
