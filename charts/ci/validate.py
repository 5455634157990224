"""Holds rendered objects to the schemas of Kubernetes and of the custom resources they are.

    helm template wisp charts/wisp --values charts/ci/wisp/full.yaml | python3 charts/ci/validate.py

Needs the package kubernetes-validate. Unknown fields are errors. Prints one line a problem, and how many objects were held to a
schema; exit code 1 where there are problems. Every pod must pass the Pod Security Standard "restricted", but for those of the objects that
`--unrestricted NAME,…` names.
"""

import argparse
import gzip
import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

VERSION = "1.34"
CRDS = pathlib.Path(__file__).parent / "crds"

# Without a schema here: what its own project's admission webhook checks.
UNKNOWN = {("cert-manager.io/v1", "Certificate")}

# The volumes that the standard allows, https://kubernetes.io/docs/concepts/security/pod-security-standards/; an image volume is
# none of the host's.
RESTRICTED_VOLUMES = {
    "name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "image",
}


def closed(schema):
    """The schema with every object closed that does not say what else it may have."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not is_open:
        schema["additionalProperties"] = False
    return schema


def definitions(path):
    """What a file defines: YAML, or JSON that is compressed because it is long."""
    if path.suffix == ".yaml":
        return list(yaml.safe_load_all(path.read_text()))
    return [json.loads(gzip.decompress(path.read_bytes()))] if path.suffix == ".gz" else []


def custom_schemas():
    """(apiVersion, kind) of each custom resource to its schema."""
    schemas = {}
    for path in sorted(CRDS.iterdir()):
        for definition in definitions(path):
            spec = definition["spec"]
            for version in spec["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return schemas


def schema_problems(found, customs):
    key = (found["apiVersion"], found["kind"])
    if key in UNKNOWN:
        return
    if key in customs:
        for error in jsonschema.Draft202012Validator(customs[key]).iter_errors(found):
            yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        return
    try:
        kubernetes_validate.validate(found, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.path))}: {error.message}"


def restricted_problems(pod):
    """What the Pod Security Standard "restricted" has against a pod's specification."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield f"{key} is set"
    for volume in pod.get("volumes", []):
        for kind in volume.keys() - RESTRICTED_VOLUMES:
            yield f"volume {volume['name']} is of kind {kind}"
    of_pod = pod.get("securityContext", {})
    for container in pod["containers"] + pod.get("initContainers", []):
        own, name = container.get("securityContext", {}), container["name"]
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may gain privileges"
        if "ALL" not in own.get("capabilities", {}).get("drop", []) or own["capabilities"].get("add"):
            yield f"{name} keeps capabilities"
        if not own.get("runAsNonRoot", of_pod.get("runAsNonRoot")):
            yield f"{name} may be root"
        if own.get("runAsUser", of_pod.get("runAsUser", 1)) == 0:
            yield f"{name} is root"
        if own.get("seccompProfile", of_pod.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name} has no seccomp profile"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name} takes a port of the host"


def pod_of(found):
    spec = found.get("spec", {})
    return spec if found["kind"] == "Pod" else spec.get("template", {}).get("spec")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unrestricted", default="", help="names of objects whose pods need more than \"restricted\" gives")
    unrestricted = set(filter(None, parser.parse_args().unrestricted.split(",")))
    customs, count, problems = custom_schemas(), 0, []
    for found in filter(None, yaml.safe_load_all(sys.stdin)):
        name = f"{found['kind']} {found['metadata']['name']}"
        problems += [f"{name}: {problem}" for problem in schema_problems(found, customs)]
        pod = pod_of(found)
        if pod and found["metadata"]["name"] not in unrestricted:
            problems += [f"{name}: {problem}" for problem in restricted_problems(pod)]
        count += 1
    print(*problems, f"{count} objects, {len(problems)} problems", sep="\n")
    sys.exit(1 if problems else 0)


main()
