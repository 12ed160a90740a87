"""What AWS itself says of the types and calls that the suite asks about.

Reads {"types": [type], "calls": [request], "shapes": ["service:Shape"]} and prints {"types": {type: what its schema in the
registry says, as cfn-lint brings it}, "sent": [[service, operation, member, shape, limits, values]] of every member with a
limit that a request sent, "missing": [[service, operation, member]] that is required and was not, "shapes": {shape: limits}},
by botocore's models.
"""

import functools
import json
import re
import sys
import urllib.parse
import xml.etree.ElementTree

import botocore.loaders
from cfnlint.schema.manager import ProviderSchemaManager

MODELS = {"servicequotas": "service-quotas", "tag": "resourcegroupstaggingapi", "tagging": "resourcegroupstaggingapi"}
LIMITS = ("min", "max", "pattern", "enum")
NOTHING = "no input"
READS = ("Describe", "Get", "Head", "List")
LOADER = botocore.loaders.Loader()


def registry(kind):
    schema = ProviderSchemaManager().get_resource_schema("eu-west-1", kind).schema
    keys = ("createOnlyProperties", "readOnlyProperties", "writeOnlyProperties", "conditionalCreateOnlyProperties")
    found = {key: sorted(schema.get(key, [])) for key in keys}
    return {**found, "tagging": schema.get("tagging", {}), "properties": sorted(schema["properties"])}


class Model:
    def __init__(self, service):
        self.service = service
        self.model = LOADER.load_service_model(MODELS.get(service, service), "service-2")
        spoken = self.model["metadata"]["protocols"]
        # as our SDK speaks, which has no CBOR
        self.protocol = "query" if "query" in spoken else spoken[0]
        self.shapes = {**self.model["shapes"], NOTHING: {"type": "structure", "members": {}}}

    def call(self, call):
        """The operation of a call and its input, in the words of the model."""
        body = call["body"]
        if self.protocol in ("query", "ec2"):
            form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
            operation = form["Action"]
            return operation, self.form(self.input(operation), nested(form))
        if self.protocol == "json":
            operation = call["target"].split(".")[-1]
            return operation, json.loads(body or "{}")
        return self.routed(call)

    def input(self, operation):
        return self.model["operations"][operation].get("input", {}).get("shape", NOTHING)

    def routed(self, call):
        """The operation that method, path and query tell apart."""
        query = dict(urllib.parse.parse_qsl(call["query"], keep_blank_values=True))
        best = None
        for operation, spec in self.model["operations"].items():
            path, _, words = spec["http"]["requestUri"].partition("?")
            words = dict(urllib.parse.parse_qsl(words, keep_blank_values=True))
            if spec.get("deprecated") or spec["http"]["method"] != call["method"] or any(query.get(key) != words[key] for key in words):
                continue
            names, matched = self.path(path, call["path"])
            if matched:
                rank = (len(words), -len(names))
                if best is None or rank > best[0]:
                    best = rank, operation, {k: urllib.parse.unquote(v) for k, v in zip(names, matched.groups())}
        _, operation, named = best
        return operation, self.rest(self.input(operation), named, query, call)

    @staticmethod
    def path(template, path):
        names = re.findall(r"{(\w+)\+?}", template)
        pattern = re.sub(r"\\{\w+(\\\+)?\\}", lambda m: "(.+)" if m[1] else "([^/]+)", re.escape(template.rstrip("/")))
        return names, re.fullmatch(pattern, path.rstrip("/"))

    def rest(self, shape, named, queries, call):
        members = self.shapes[shape]["members"]
        value = {}
        for member, spec in members.items():
            where, name = spec.get("location"), spec.get("locationName", member)
            source = {"uri": named, "querystring": queries}.get(where)
            if source is not None and name in source:
                value[member] = source[name]
        payload = self.shapes[shape].get("payload")
        if not call["body"]:
            return value
        if payload and self.shapes[members[payload]["shape"]]["type"] in ("string", "blob"):
            return {**value, payload: call["body"]}
        if self.protocol == "rest-xml":
            root = xml.etree.ElementTree.fromstring(call["body"])
            if payload:
                value[payload] = self.xml(members[payload]["shape"], root)
            return value
        body = json.loads(call["body"])
        # by their names on the wire
        wire = {spec.get("locationName", member): member for member, spec in members.items() if not spec.get("location")}
        value.update({payload: body} if payload else {wire.get(key, key): part for key, part in body.items()})
        return value

    def xml(self, name, node):
        shape = self.shapes[name]
        plain = lambda tag: tag.split("}")[-1]
        if shape["type"] == "structure":
            value = {}
            for member, spec in shape["members"].items():
                children = [c for c in node if plain(c.tag) == spec.get("locationName", member)]
                inner = self.shapes[spec["shape"]]
                if not children:
                    continue
                if inner["type"] == "list":
                    flat = spec.get("flattened") or inner.get("flattened")
                    items = children if flat else list(children[0])
                    value[member] = [self.xml(inner["member"]["shape"], item) for item in items]
                else:
                    value[member] = self.xml(spec["shape"], children[0])
            return value
        return node.text or ""

    def form(self, name, node):
        shape = self.shapes[name]
        if shape["type"] == "structure":
            value = {}
            for member, spec in shape["members"].items():
                wire = spec.get("locationName", member)
                if self.protocol == "ec2":
                    wire = spec.get("queryName") or wire[0].upper() + wire[1:]
                if wire in node:
                    value[member] = self.form(spec["shape"], node[wire])
            return value
        if shape["type"] == "list":
            inner = shape["member"].get("locationName", "member")
            items = node.get(inner, node.get("member", node)) if isinstance(node, dict) else {}
            return [self.form(shape["member"]["shape"], item) for item in items.values()]
        if shape["type"] == "map":
            entries = node.get("entry", node).values()
            return {entry["key"]: self.form(shape["value"]["shape"], entry["value"]) for entry in entries}
        return node

    def walk(self, operation, name, value, path, sent, missing):
        shape = self.shapes[name]
        step = lambda member: f"{path}.{member}" if path else member
        limits = {key: shape[key] for key in LIMITS if key in shape}
        if limits and path:
            key = (self.service, operation, path)
            texts = sent.setdefault(key, [name, {"type": shape["type"], **limits}, []])[2]
            if isinstance(value, str) and len(texts) < 5:
                texts.append(value)
        if shape["type"] == "structure":
            for member in shape.get("required", []):
                if member not in value:
                    missing.add((self.service, operation, step(member)))
            for member, spec in shape["members"].items():
                wire = member if member in value else spec.get("locationName", member)
                if wire in value and value[wire] is not None:
                    self.walk(operation, spec["shape"], value[wire], step(member), sent, missing)
        elif shape["type"] == "list":
            for item in value:
                self.walk(operation, shape["member"]["shape"], item, f"{path}[]", sent, missing)
        elif shape["type"] == "map":
            for key, item in value.items():
                self.walk(operation, shape["key"]["shape"], key, f"{path}{{}}", sent, missing)
                self.walk(operation, shape["value"]["shape"], item, step("*"), sent, missing)


def nested(pairs):
    root = {}
    for key, value in pairs.items():
        node = root
        *steps, last = key.split(".")
        for step in steps:
            node = node.setdefault(step, {})
        node[last] = value
    return root


def main():
    asked = json.load(sys.stdin)
    models, sent, missing = {}, {}, set()
    model = functools.cache(Model)
    for call in asked["calls"]:
        of = model(call["service"])
        operation, value = of.call(call)
        if not operation.startswith(READS):
            of.walk(operation, of.input(operation), value, "", sent, missing)
    shapes = {}
    for source in asked["shapes"]:
        service, shape = source.split(":")
        found = model(service).shapes.get(shape)
        shapes[source] = found and {key: found[key] for key in ("type", *LIMITS) if key in found}
    json.dump(
        {
            "types": {kind: registry(kind) for kind in asked["types"]},
            "sent": [[*key, *limits] for key, limits in sorted(sent.items())],
            "missing": sorted(missing),
            "shapes": shapes,
        },
        sys.stdout,
    )


main()
