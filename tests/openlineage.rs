//! The JSON Schemas of OpenLineage, if they are beside the repository, and what of JSON Schema they use.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc", feature = "lineage"))]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Schemas by their `$id`.
pub struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// Those in `../shared/schemas/openlineage`; `None` if they are not there.
    pub fn beside() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/schemas/openlineage");
        let files = fs::read_dir(folder).ok()?.map(|file| file.unwrap().path());
        let schemas = files.map(|file| serde_json::from_str::<Value>(&fs::read_to_string(file).unwrap()).unwrap());
        Some(Self(schemas.map(|schema| (schema["$id"].as_str().unwrap().to_owned(), schema)).collect()))
    }

    /// What is wrong with an event: with its own members, and with each facet by the schema that it names.
    pub fn faults(&self, event: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check("https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent", event, "event", &mut faults);
        for (name, facet) in facets(event) {
            match facet["_schemaURL"].as_str() {
                Some(schema) => self.check(schema, facet, &name, &mut faults),
                None => faults.push(format!("{name} names no schema")),
            }
        }
        faults
    }

    /// Holds a value against the schema at an address.
    fn check(&self, address: &str, value: &Value, place: &str, faults: &mut Vec<String>) {
        let (id, pointer) = address.split_once('#').unwrap();
        match self.0.get(id).and_then(|schema| schema.pointer(pointer)) {
            Some(schema) => self.hold(id, schema, value, place, faults),
            None => faults.push(format!("{place}: there is no schema {address}")),
        }
    }

    fn fits(&self, id: &str, schema: &Value, value: &Value) -> bool {
        let mut faults = Vec::new();
        self.hold(id, schema, value, "", &mut faults);
        faults.is_empty()
    }

    fn hold(&self, id: &str, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        for (key, of) in schema.as_object().unwrap() {
            let all = || of.as_array().unwrap().iter();
            let mut need = |holds: bool, what: &str| {
                if !holds {
                    faults.push(format!("{place}: {what} {of}"));
                }
            };
            match key.as_str() {
                "$ref" => {
                    let of = of.as_str().unwrap();
                    let address = if of.starts_with('#') { format!("{id}{of}") } else { of.to_owned() };
                    self.check(&address, value, place, faults);
                }
                "allOf" => all().for_each(|of| self.hold(id, of, value, place, faults)),
                "anyOf" => need(all().any(|of| self.fits(id, of, value)), "fits none of"),
                "not" => need(!self.fits(id, of, value), "fits"),
                "enum" => need(all().any(|of| of == value), "is none of"),
                "type" => need(has_type(of.as_str().unwrap(), value), "is no"),
                "format" => need(value.as_str().is_none_or(|text| has_format(of.as_str().unwrap(), text)), "is no"),
                "required" => all().for_each(|name| {
                    need(
                        value.get(name.as_str().unwrap()).is_some() || !value.is_object(),
                        &format!("lacks {name} of"),
                    );
                }),
                "properties" => {
                    for (name, of) in of.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            self.hold(id, of, value, &format!("{place}.{name}"), faults);
                        }
                    }
                }
                "additionalProperties" => {
                    let known = schema["properties"].as_object();
                    let others = value.as_object().into_iter().flatten();
                    for (name, value) in others.filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)))
                    {
                        match of {
                            Value::Bool(allowed) => assert!(allowed, "no schema of OpenLineage forbids members"),
                            of => self.hold(id, of, value, &format!("{place}.{name}"), faults),
                        }
                    }
                }
                "items" => {
                    let items = value.as_array().into_iter().flatten().enumerate();
                    items.for_each(|(at, value)| self.hold(id, of, value, &format!("{place}[{at}]"), faults));
                }
                "description" | "example" | "deprecated" => {}
                other => panic!("{place}: this test does not know `{other}`"),
            }
        }
    }
}

/// All facets of an event, with their places.
pub fn facets(event: &Value) -> Vec<(String, &Value)> {
    let mut groups = vec![("run", &event["run"]["facets"]), ("job", &event["job"]["facets"])];
    for (side, own) in [("inputs", "inputFacets"), ("outputs", "outputFacets")] {
        let sets = event[side].as_array().into_iter().flatten();
        groups.extend(sets.flat_map(|set| [(side, &set["facets"]), (side, &set[own])]));
    }
    let facets = groups.into_iter().flat_map(|(place, group)| {
        let group = group.as_object().into_iter().flatten();
        group.map(move |(name, facet)| (format!("{place}.{name}"), facet))
    });
    facets.collect()
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("this test does not know the type `{other}`"),
    }
}

fn has_format(name: &str, text: &str) -> bool {
    // In a pattern `0` stands for a digit in hex.
    let like = |pattern: &str| {
        text.len() >= pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, of)| byte == of || of == b'0' && byte.is_ascii_hexdigit())
    };
    match name {
        "uuid" => text.len() == 36 && like("00000000-0000-0000-0000-000000000000"),
        "date-time" => like("0000-00-00T00:00:00") && text.ends_with('Z'),
        "uri" => {
            text.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.contains([' ', '"', '<']))
        }
        other => panic!("this test does not know the format `{other}`"),
    }
}
