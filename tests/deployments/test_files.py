"""Deployment files against the tools that judge them without a daemon or a cluster, and against each other."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.templating import apply_values

from tasks.config import load_settings
from tests.services import command

ROOT = Path(__file__).parent.parent.parent
DEPLOYMENTS = ROOT / "deployments"
KUBERNETES = DEPLOYMENTS / "kubernetes"
COMPOSE = (DEPLOYMENTS / "compose.yaml").read_text()


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE)
    return loaded


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], check=False, capture_output=True, text=True, timeout=60, cwd=ROOT
    )


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(KUBERNETES.glob("*.yaml")):
        if file.name != "kustomization.yaml":
            yield from ((file.name, one) for one in yaml.safe_load_all(file.read_text()))


# The validators


def test_compose_follows_the_compose_specification() -> None:
    told = run(command("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOYMENTS / "compose.yaml")

    assert told.returncode == 0, told.stdout


def test_the_dockerfile_pleases_hadolint() -> None:
    told = run(command("hadolint"), DEPLOYMENTS / "Dockerfile")

    assert told.returncode == 0, told.stdout


def test_the_manifests_follow_the_kubernetes_schemas() -> None:
    files = [file for file in KUBERNETES.glob("*.yaml") if file.name != "kustomization.yaml"]

    told = run(command("kubernetes-validate"), "--strict", "-k", "1.32", *files)

    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")
def test_kustomize_puts_them_together() -> None:
    told = run("kubectl", "kustomize", KUBERNETES)

    assert told.returncode == 0, told.stderr
    made = [one for one in yaml.safe_load_all(told.stdout) if one["kind"] != "Namespace"]
    assert {one["metadata"]["namespace"] for one in made} == {"cleanplate"}
    images = set(re.findall(r"image: (\S+)", told.stdout))
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_a_run_s_job_follows_the_kubernetes_schemas(tmp_path: Path) -> None:
    """The base job template, filled in as the worker does."""
    template = json.loads((KUBERNETES / "base-job-template.json").read_text())
    values = {name: one["default"] for name, one in template["variables"]["properties"].items() if "default" in one}
    values |= {
        "name": "night",
        "command": ["prefect", "flow-run", "execute"],
        "env": [{"name": "PREFECT_API_URL", "value": "http://prefect-server:4200/api"}],
        "labels": {"prefect.io/flow-run-id": "1"},
        "annotations": {},
    }
    job = apply_values(template["job_configuration"]["job_manifest"], values)
    job["metadata"]["name"] = "night"
    (tmp_path / "job.json").write_text(json.dumps(job))

    told = run(command("kubernetes-validate"), "--strict", "-k", "1.32", tmp_path / "job.json")

    assert told.returncode == 0, told.stdout + told.stderr
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["name"] == "prefect-job"  # the worker of prefect-kubernetes refuses any other
    assert "{{" not in json.dumps(job)


# What runs, runs with as little as possible


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in manifests():
        if one["kind"] in ("Deployment", "Job"):
            yield f"{name}: {one['metadata']['name']}", one["spec"]["template"]["spec"]
    template = json.loads((KUBERNETES / "base-job-template.json").read_text())
    yield "base-job-template.json", template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]


@pytest.mark.parametrize(("name", "pod"), list(pods()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_pod_may_do_little(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod.get("automountServiceAccountToken") is (name == "worker.yaml: prefect-worker")
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


def test_every_long_lived_pod_says_how_it_is() -> None:
    for name, one in manifests():
        if one["kind"] == "Deployment":
            containers = one["spec"]["template"]["spec"]["containers"]
            assert all("livenessProbe" in container for container in containers), name


@pytest.mark.parametrize("service", list(compose()["services"]))
def test_every_service_says_how_it_is_and_keeps_its_log_small(service: str) -> None:
    one = compose()["services"][service]

    assert "healthcheck" in one or service == "worker"  # the image's own is the worker's
    assert one["logging"]["options"]["max-size"]


@pytest.mark.parametrize("service", [name for name in compose()["services"] if name != "postgres"])
def test_every_service_of_ours_may_do_little(service: str) -> None:
    one = compose()["services"][service]

    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]


def test_only_loopback_is_published() -> None:
    published = [port for one in compose()["services"].values() for port in one.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_images_are_pinned_and_the_image_runs_as_nobody() -> None:
    images = {one["image"] for one in compose()["services"].values()}
    dockerfile = (DEPLOYMENTS / "Dockerfile").read_text()
    base = re.search(r"ARG PYTHON_IMAGE=(\S+)", dockerfile)

    assert all(re.search(r":\d+\.\d+", image) for image in images)
    assert base is not None
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base[1])
    assert "USER 10001:10001" in dockerfile


# Every variable is documented, and means something


def documented(name: str) -> dict[str, str]:
    """Variable → what stands after `=`; commented-out examples too."""
    text = (DEPLOYMENTS / name).read_text()
    return dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(\S*)", text, re.MULTILINE))


def test_every_variable_of_compose_is_documented_and_none_else() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", COMPOSE))

    assert used == documented(".env.example").keys()


def test_what_is_required_has_no_default_and_says_so() -> None:
    required = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+):\?", COMPOSE))
    text = (DEPLOYMENTS / ".env.example").read_text()
    needed = text[text.index("# Required") : text.index("# Optional")]

    assert required == set(re.findall(r"^([A-Z0-9_]+)=", needed, re.MULTILINE))
    assert all(not documented(".env.example")[name] for name in required)


def interpolated(value: str) -> str:
    """As Compose does it, with nothing but `.env.example` filled in."""
    given = {name: text or "filled-in" for name, text in documented(".env.example").items()}
    return re.sub(r"\$\{([A-Z0-9_]+)(?::[?-][^}]*)?\}", lambda found: given[found[1]], value).replace("$$", "$")


@pytest.mark.parametrize("service", ["worker", "callbacks", "deploy"])
def test_what_compose_sets_is_a_configuration(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compose()["services"][service]["environment"].items():
        monkeypatch.setenv(name, interpolated(value))

    settings = load_settings()

    assert settings.ledger_url.get_secret_value() == "postgresql://cleanplate:filled-in@postgres/ledger"
    assert settings.observability.log_format == "json"


def test_every_example_setting_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = documented("cleanplate.env.example")
    for name, value in examples.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert sum(name.startswith("CLEANPLATE_") for name in examples) > 10
    assert all(own.api_key_file for key, own in settings.providers.each().items() if key != "local")
    assert settings.observability.metrics_port == 9464


def test_every_setting_of_kubernetes_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}
    for _, one in manifests():
        if one["kind"] in ("ConfigMap", "Secret"):
            given |= one.get("data", {}) | one.get("stringData", {})
    for name, value in given.items():
        if name.startswith("CLEANPLATE_") and "CATALOG" not in name:
            monkeypatch.setenv(name, value)

    assert load_settings().providers.runflow.api_key_file is not None


def test_every_secret_and_setting_that_kubernetes_refers_to_is_there() -> None:
    defined = {(one["kind"], one["metadata"]["name"]) for _, one in manifests()}
    defined.add(("ConfigMap", "base-job-template"))  # made by kustomize
    text = "\n".join(file.read_text() for file in KUBERNETES.glob("*.*"))
    wanted = {("Secret", name) for name in re.findall(r'secretRef"?: \{"?name"?: "?([\w-]+)', text)}
    wanted |= {("Secret", name) for name in re.findall(r'"?secretName"?: "?([\w-]+)', text)}
    wanted |= {("ConfigMap", name) for name in re.findall(r'configMap(?:Ref)?"?: \{"?name"?: "?([\w-]+)', text)}

    assert len(wanted) >= 6
    assert wanted <= defined


# One thing has one version everywhere


def test_prefect_is_the_lock_s_wherever_it_is_named() -> None:
    locked = re.search(r"^prefect==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    worker = re.search(r"prefecthq/prefect:([\d.]+)-", (KUBERNETES / "worker.yaml").read_text())

    assert locked is not None
    assert worker is not None
    assert worker[1] == locked[1]
    assert yaml.safe_load((DEPLOYMENTS / "prefect.yaml").read_text())["prefect-version"] == locked[1]


def test_the_image_s_tag_is_the_project_s_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    named = re.findall(r"cleanplate:(\d[\w.]*)", COMPOSE + (KUBERNETES / "base-job-template.json").read_text())
    named += re.findall(r"newTag: (\S+)", (KUBERNETES / "kustomization.yaml").read_text())

    assert len(named) >= 3
    assert set(named) == {version}


def test_what_the_image_is_built_from_is_in_its_context() -> None:
    """The ignore file lets in what COPY names, and no secret."""
    ignore = (DEPLOYMENTS / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    dockerfile = (DEPLOYMENTS / "Dockerfile").read_text()
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for word in line.split()
    ]

    assert {word.split("/")[0] for word in copied} == let_in
    assert {"deployments/secrets", "deployments/.env"} <= set(ignore)
    assert all((ROOT / word).exists() for word in copied)
