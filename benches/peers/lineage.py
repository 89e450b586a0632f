"""Holds lineage events against OpenLineage's own client and schemas: lineage.py EVENTS.jsonl [SCHEMAS]

Each event is built anew of the client's classes, with every facet, and must come out as it was. The client's file transport then
writes it, which must read as the same event. SCHEMAS is a folder of OpenLineage's JSON Schemas; each event and each facet must
be valid by the schema that it names. At the end a broken event must be refused.
"""

import copy
import json
import pathlib
import sys
import tempfile
import types
import typing

import attr
from openlineage.client import event_v2, facet_v2
from openlineage.client.generated import base
from openlineage.client.serde import Serde
from openlineage.client.transport.file import FileConfig, FileTransport

OWN = {"_producer", "_schemaURL"}


def build(kind, value):
    """A value of the client's types. A member that a class does not know is an error."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(of for of in typing.get_args(kind) if of is not type(None))
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return [build(of[0], item) for item in value]
    if origin is dict:
        return {key: build(of[1], item) for key, item in value.items()}
    if not attr.has(kind):
        return value
    hints = typing.get_type_hints(kind)
    return kind(**{key: build(hints[key], item) for key, item in value.items() if key not in OWN})


def facet(value):
    """A facet of the class that its schema names."""
    schema, name = value["_schemaURL"].split("#/$defs/")
    modules = [module for module in vars(facet_v2).values() if isinstance(module, types.ModuleType)]
    found = [getattr(module, name) for module in modules if getattr(module, name, None) and name in module.__dict__]
    members = {key: item for key, item in value.items() if key not in OWN}
    if not found or not schema.rsplit("/", 1)[1].startswith(name):
        # One of our own: the client has the base of it.
        assert name == "RunFacet", name
        return base.RunFacet().with_additional_properties(**members)
    if found[0]._get_schema() != value["_schemaURL"]:
        print(f"  the client has {found[0]._get_schema().rsplit('#')[0]}, the event {schema}")
    return build(found[0], members)


def facets(values):
    return {name: facet(value) for name, value in values.items()}


def rebuilt(event):
    """The event, of the client's classes."""
    inputs = [
        event_v2.InputDataset(of["namespace"], of["name"], facets=facets(of["facets"]), inputFacets=facets(of["inputFacets"]))
        for of in event["inputs"]
    ]
    outputs = [
        event_v2.OutputDataset(of["namespace"], of["name"], facets=facets(of["facets"]), outputFacets=facets(of["outputFacets"]))
        for of in event["outputs"]
    ]
    return event_v2.RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        eventType=event_v2.RunState[event["eventType"]],
        run=event_v2.Run(event["run"]["runId"], facets(event["run"]["facets"])),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"], facets(event["job"]["facets"])),
        inputs=inputs,
        outputs=outputs,
    )


def plain(value):
    """Without what the client leaves out or puts in: its own producer, empty members and the versions of its schemas."""
    if isinstance(value, dict):
        members = {key: plain(item) for key, item in value.items() if key not in OWN}
        return {key: item for key, item in members.items() if item not in ({}, [], None)}
    return [plain(item) for item in value] if isinstance(value, list) else value


def validators(folder):
    import jsonschema
    import referencing

    schemas = [json.loads(path.read_text()) for path in sorted(pathlib.Path(folder).glob("*.json"))]
    registry = referencing.Registry().with_resources(
        (schema["$id"], referencing.Resource.from_contents(schema)) for schema in schemas
    )

    def validate(address, value):
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator({"$ref": address}, registry=registry, format_checker=checker).validate(value)

    def valid(event):
        validate(event["schemaURL"], event)
        sets = [event["run"]["facets"], event["job"]["facets"]]
        sets += [of[key] for of in event["inputs"] for key in ("facets", "inputFacets")]
        sets += [of[key] for of in event["outputs"] for key in ("facets", "outputFacets")]
        for of in sets:
            for value in of.values():
                validate(value["_schemaURL"], value)
        return sum(map(len, sets))

    return valid


def main(path, schemas=None):
    events = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    valid = validators(schemas) if schemas else None
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "events.jsonl")
        transport = FileTransport(FileConfig(str(log), append=True))
        for event in events:
            print(event["eventType"], event["job"]["name"])
            ours = rebuilt(event)
            assert plain(Serde.to_dict(ours)) == plain(event), "the client's event differs"
            transport.emit(ours)
            if valid:
                print(f"  valid, with {valid(event)} facets")
        written = [json.loads(line) for line in log.read_text().splitlines()]
        assert plain(written) == plain(events), "what the client wrote differs"
    broken = copy.deepcopy(events[-1])
    broken["run"]["runId"] = "no id"
    refusing = [rebuilt] + ([valid] if valid else [])
    for refuse in refusing:
        try:
            refuse(broken)
        except Exception as error:
            print("refused as it should be:", str(error).splitlines()[0])
        else:
            sys.exit("a broken event was not refused")
    print(len(events), "events hold")


main(*sys.argv[1:])
