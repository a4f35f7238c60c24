# SPDX-License-Identifier: Apache-2.0
"""The Python clients `openai` and `webuiapi`, unchanged, against a server of this engine with the demo model.

    python clients.py ADDRESS KEY          draws, streams, edits, is refused
    python clients.py ADDRESS KEY busy     while the server draws for somebody else and has no place to wait

PythonClientsTest starts the server and runs both. Needs `pip install openai==3.51.0 webuiapi==0.9.17`.
"""

import base64
import io
import sys
from urllib.parse import urlsplit

import openai
import webuiapi
from PIL import Image

address, key = sys.argv[1:3]
busy = sys.argv[3:] == ["busy"]
client = openai.OpenAI(base_url=f"{address}v1", api_key=key, max_retries=0)
server = urlsplit(address)
web = webuiapi.WebUIApi(host=server.hostname, port=server.port)
web.set_auth("ann", key)

BALL = {"prompt": "a red ball on grass", "size": "128x128"}
OURS = {"seed": 7, "method": "direct", "steps": 4}


def size(b64: str) -> tuple[int, int]:
    """Pixels of a picture in base64."""
    return Image.open(io.BytesIO(base64.b64decode(b64))).size


def refused(kind: type[Exception], call) -> Exception:
    """What a call that has to fail raises."""
    try:
        call()
    except kind as e:
        return e
    raise AssertionError("was not refused")


def openai_client() -> None:
    """OpenAI's Images API."""
    drawn = client.images.generate(**BALL, n=2, extra_body=OURS)
    assert [size(each.b64_json) for each in drawn.data] == [(128, 128)] * 2
    assert drawn.data[1].seed == 8, "fields of ours arrive"
    events = list(client.images.generate(**BALL, stream=True, partial_images=2, extra_body=OURS))
    assert [e.type for e in events[:-1]] and {e.type for e in events[:-1]} == {"image_generation.partial_image"}
    assert events[-1].type == "image_generation.completed"
    assert events[-1].b64_json == drawn.data[0].b64_json, "the same request, the same bytes"
    start = base64.b64decode(drawn.data[0].b64_json)
    for picture in (start, [("ball.png", start)]):  # a list is sent as image[]
        edited = client.images.edit(image=picture, prompt="a blue ball", size="128x128", extra_body=OURS)
        assert size(edited.data[0].b64_json) == (128, 128)
    events = list(client.images.edit(image=start, prompt="a blue ball", size="128x128", stream=True, extra_body=OURS))
    assert events[-1].type == "image_edit.completed"
    assert [model.id for model in client.models.list()] == ["demo"]
    wrong = refused(openai.BadRequestError, lambda: client.images.generate(prompt="a ball", size="130x130"))
    assert "130" in str(wrong) and wrong.request_id, str(wrong)
    refused(openai.NotFoundError, lambda: client.images.generate(prompt="a ball", model="sdxl"))
    stranger = client.with_options(api_key="secret-of-bob")
    refused(openai.AuthenticationError, lambda: stranger.images.generate(prompt="a ball"))


def webui_client() -> None:
    """AUTOMATIC1111's API."""
    web.util_wait_for_ready(check_interval=0.1)
    assert web.util_get_current_model().startswith("demo")
    assert web.get_sd_models()[0]["model_name"] == "demo"
    assert "DPM++ 2M" in web.util_get_sampler_names()
    assert "karras" in web.util_get_scheduler_names()
    assert web.get_loras() == [] and web.get_embeddings() == {"loaded": {}, "skipped": {}}
    web.get_cmd_flags(), web.get_memory(), web.get_scripts(), web.get_latent_upscale_modes(), web.get_sd_vae()
    web.get_hypernetworks(), web.get_face_restorers(), web.get_realesrgan_models(), web.get_prompt_styles()
    assert web.get_upscalers()[0]["name"] == "None"
    assert web.refresh_checkpoints() is None
    web.set_options({"sd_model_checkpoint": web.get_options()["sd_model_checkpoint"]})
    ball = {"prompt": "a (red:1.2) ball on grass", "negative_prompt": "blue", "seed": 7, "width": 128, "height": 128}
    drawn = web.txt2img(**ball, steps=4, cfg_scale=5, sampler_name="DPM++ 2M", scheduler="Karras", batch_size=2)
    assert [image.size for image in drawn.images] == [(128, 128)] * 2
    assert drawn.info["all_seeds"] == [7, 8] and drawn.info["steps"] == 4, drawn.info
    large = web.txt2img(
        **ball, steps=2, enable_hr=True, hr_scale=2, hr_upscaler="asg", hr_second_pass_steps=2, denoising_strength=0.7
    )
    assert large.image.size == (256, 256)
    edited = web.img2img(images=[drawn.image], prompt="a blue ball", width=128, height=128, steps=4, denoising_strength=0.6)
    assert edited.image.size == (128, 128)
    mask = Image.new("L", (128, 128))
    mask.paste(255, (64, 0, 128, 128))
    painted = web.img2img(
        images=[drawn.image], mask_image=mask, mask_blur=0, prompt="a cube", width=128, height=128, steps=4
    )
    left = (0, 0, 64, 128)
    assert painted.image.convert("RGB").crop(left).tobytes() == drawn.image.convert("RGB").crop(left).tobytes()
    assert web.extra_single_image(drawn.image, upscaling_resize=2, upscaler_1="superres").image.size == (256, 256)
    assert "Steps: 4" in web.png_info(drawn.image).info
    assert web.get_progress()["progress"] == 0
    web.interrupt(), web.skip()
    wrong = refused(RuntimeError, lambda: web.txt2img(prompt="a ball", width=130, height=128))
    assert wrong.args[0] == 400 and "130" in str(wrong), wrong


if busy:
    told = refused(openai.RateLimitError, lambda: client.images.generate(**BALL))
    assert told.code == "queue_full" and int(told.response.headers["Retry-After"]) > 0
    full = refused(RuntimeError, lambda: web.txt2img(prompt="a ball", width=128, height=128))
    assert full.args[0] == 429, full
    assert web.get_progress()["state"]["job_count"] == 2
else:
    openai_client()
    webui_client()
print("served")
