//! A contract's text becomes checks.

use serde_json::{Map, Number, Value, json as json_value};

use crate::base::shape::ImageShape;
use crate::base::text::listed;
use crate::base::yaml::{Fault, Kind, Node};
use crate::quality::checks::Severity;
use crate::quality::checks::parse::check;
use crate::quality::checks::rule::{Bounds, Check, Condition, LogicalType, Require, RowRule, Rule, Statistic};
use crate::quality::dimension::Dimension;

/// What a contract says.
#[derive(Default)]
pub(super) struct Found {
    pub checks: Vec<Check>,
    pub shape: Option<ImageShape>,
    pub not_enforced: Vec<String>,
}

type Read<T> = std::result::Result<T, Fault>;

/// Keys that only describe, at any place.
const DESCRIPTIONS: &[&str] =
    &["id", "description", "tags", "customProperties", "authoritativeDefinitions", "businessName", "name"];

/// Keys of a property that ask for something.
const PROPERTY_KEYS: &[&str] = &[
    "primaryKey",
    "logicalType",
    "logicalTypeOptions",
    "required",
    "unique",
    "enum",
    "relationships",
    "quality",
    "properties",
    "items",
    "dimensions",
    "elementType",
];
/// Its other keys.
const OTHER_KEYS: &[&str] = &[
    "primaryKeyPosition",
    "physicalType",
    "physicalName",
    "semanticType",
    "partitioned",
    "partitionKeyPosition",
    "classification",
    "encryptedName",
    "transformSourceObjects",
    "transformLogic",
    "transformDescription",
    "examples",
    "criticalDataElement",
];
/// What `logicalTypeOptions` of numbers ask for, and what of it is not enforced.
const BOUNDS: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
const UNBOUNDED: &[&str] = &["multipleOf", "format"];

/// Reads a contract. `table` names the one that is meant; there must be one alone if it is `None`.
pub(super) fn contract(node: &Node, table: Option<&str>) -> Read<Found> {
    let top = Members::of(node, "a contract")?;
    top.only(&[
        "apiVersion",
        "kind",
        "version",
        "status",
        "tenant",
        "servers",
        "dataProduct",
        "domain",
        "schema",
        "support",
        "price",
        "team",
        "roles",
        "slaDefaultElement",
        "slaProperties",
        "contractCreatedTs",
    ])?;
    let version = top.needed("apiVersion")?;
    let is_known = |text: &str| ["v3.0.", "v3.1.", "v3.2."].iter().any(|known| text.starts_with(known));
    if !is_known(version.text("apiVersion")?) {
        return Err((version.line, "the apiVersion is not one of 3.0, 3.1 and 3.2".to_owned()));
    }
    let kind = top.needed("kind")?;
    if kind.text("kind")? != "DataContract" {
        return Err((kind.line, "the kind is not DataContract".to_owned()));
    }
    for key in ["id", "version", "status"] {
        top.needed(key)?.text(key)?;
    }
    let tables = top.list("schema")?;
    let named = tables.iter().map(|node| {
        let table = Members::of(node, "a table")?;
        Ok((table.needed("name")?.text("name")?, table))
    });
    let named: Vec<(&str, Members<'_>)> = named.collect::<Read<_>>()?;
    let names = || listed(named.iter().map(|(name, _)| *name), "and");
    let (name, chosen) = match (table, &named[..]) {
        (_, []) => return Err((node.line, "it describes no table: `schema` is missing or empty".to_owned())),
        (None, [one]) => one,
        (None, _) => return Err((node.line, format!("it describes several tables, {}: name one", names()))),
        (Some(table), all) => all
            .iter()
            .find(|(name, _)| *name == table)
            .ok_or_else(|| (node.line, format!("it does not describe `{table}`, but {}", names())))?,
    };
    let mut found = Found::default();
    found.table(chosen)?;
    for node in top.list("slaProperties")? {
        found.agreement(&Members::of(node, "a service level")?, name)?;
    }
    Ok(found)
}

impl Found {
    fn table(&mut self, of: &Members<'_>) -> Read<()> {
        of.only(&[
            "logicalType",
            "physicalName",
            "physicalType",
            "dataGranularityDescription",
            "properties",
            "relationships",
            "quality",
        ])?;
        let mut keys = Vec::new();
        for node in of.list("properties")? {
            let property = Members::of(node, "a property")?;
            if property.flag("primaryKey")? {
                let place = property.number("primaryKeyPosition")?.unwrap_or(f64::MAX);
                keys.push((place, property.needed("name")?.text("name")?.to_owned()));
            }
            self.property(&property)?;
        }
        keys.sort_by(|a, b| a.0.total_cmp(&b.0));
        let keys: Vec<String> = keys.into_iter().map(|(_, name)| name).collect();
        match &keys[..] {
            [] => {}
            [key] => self.hold(key, "unique", Rule::Duplicates(keys.clone())),
            keys => {
                let name = format!("{}: a primary key", keys.join(", "));
                self.checks.push(expected(name, None, Rule::Duplicates(keys.to_vec())));
            }
        }
        if let Some(node) = of.get("relationships") {
            self.skip(node.line, "`relationships`");
        }
        self.quality(of, None)
    }

    fn property(&mut self, of: &Members<'_>) -> Read<()> {
        of.only(&[PROPERTY_KEYS, OTHER_KEYS].concat())?;
        let name = of.needed("name")?.text("name")?;
        self.checks.push(expected(format!("{name}: is there"), Some(name), Rule::Present));
        let logical = of.get("logicalType").map(logical_type).transpose()?;
        if let Some(logical) = logical {
            self.checks.push(expected(format!("{name}: type"), Some(name), Rule::Type(logical)));
        }
        if of.flag("required")? || of.flag("primaryKey")? {
            self.hold(name, "required", Rule::Row(RowRule::Null));
        }
        if of.flag("unique")? {
            self.hold(name, "unique", Rule::Duplicates(vec![name.to_owned()]));
        }
        if let Some(options) = of.get("logicalTypeOptions") {
            self.options(name, logical, &Members::of(options, "logicalTypeOptions")?)?;
        }
        if of.get("enum").is_some() {
            let value = |node| Members::of(node, "a value of `enum`")?.needed("value");
            let values = of.list("enum")?.iter().map(|node| Ok(json(value(node)?))).collect::<Read<Vec<Value>>>()?;
            self.ask(of.line, name, "enum", json_value!({ "rule": "in_set", "values": values }))?;
        }
        if let Some(items) = of.get("items") {
            self.items(name, items)?;
        }
        let mut is_image = false;
        for node in of.list("customProperties")? {
            let custom = Members::of(node, "a custom property")?;
            let value = custom.needed("value")?;
            if custom.needed("property")?.text("property")? == "shape" {
                let shape = shape(value)?;
                if self.shape.is_some_and(|other| other != shape) {
                    return Err((value.line, "two columns have images, of different shapes".to_owned()));
                }
                (self.shape, is_image) = (Some(shape), true);
            }
        }
        if is_image {
            self.hold(name, "images are whole", Rule::Row(RowRule::Image));
        }
        for key in ["relationships", "properties", "dimensions", "elementType"] {
            if let Some(node) = of.get(key) {
                self.skip(node.line, &format!("`{key}` of `{name}`"));
            }
        }
        self.quality(of, Some(name))
    }

    /// What `logicalTypeOptions` say of a column.
    fn options(&mut self, name: &str, logical: Option<LogicalType>, of: &Members<'_>) -> Read<()> {
        let (known, skipped): (&[&str], &[&str]) = match logical {
            Some(LogicalType::Text) => (&["minLength", "maxLength", "pattern"], &["format"]),
            Some(LogicalType::Number | LogicalType::Integer) => (BOUNDS, UNBOUNDED),
            Some(LogicalType::Array | LogicalType::Vector) => (&["minItems", "maxItems"], &["uniqueItems"]),
            Some(LogicalType::Date | LogicalType::Timestamp | LogicalType::Time) => (
                &[],
                &[
                    "format",
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "timezone",
                    "defaultTimezone",
                ],
            ),
            Some(LogicalType::Object | LogicalType::Map) => (&[], &["minProperties", "maxProperties", "required"]),
            Some(LogicalType::Boolean) => (&[], &[]),
            None => return Err((of.line, "`logicalTypeOptions` need a `logicalType`".to_owned())),
        };
        of.only_these(&[known, skipped].concat())?;
        for key in skipped {
            if let Some(node) = of.get(key) {
                self.skip(node.line, &format!("`{key}` of `{name}`"));
            }
        }
        if known == BOUNDS {
            if let Some(bounds) = of.number_bounds()? {
                self.hold(name, "bounds", Rule::Row(RowRule::Outside(bounds)));
            }
            return Ok(());
        }
        if let Some(bounds) = of.bounds("minLength", "maxLength")? {
            self.hold(name, "length", Rule::Row(RowRule::Length(bounds)));
        }
        if let Some(bounds) = of.bounds("minItems", "maxItems")? {
            self.hold(name, "number of items", Rule::Row(RowRule::Length(bounds)));
        }
        if let Some(node) = of.get("pattern") {
            self.ask(
                node.line,
                name,
                "pattern",
                json_value!({ "rule": "match_regex", "pattern": node.text("pattern")? }),
            )?;
        }
        Ok(())
    }

    /// What `items` say of the values in the lists of a column: if lists are nested, of those in the innermost.
    fn items(&mut self, name: &str, node: &Node) -> Read<()> {
        let of = Members::of(node, "`items`")?;
        of.only(&[PROPERTY_KEYS, OTHER_KEYS].concat())?;
        let skipped = of.all.iter().filter(|(key, _)| !["logicalType", "items"].contains(&key.as_str()));
        let skipped = skipped.filter(|(key, _)| PROPERTY_KEYS.contains(&key.as_str()));
        for (key, node) in skipped.filter(|(key, _)| key != "logicalTypeOptions" || of.get("items").is_some()) {
            self.skip(node.line, &format!("`{key}` of the items of `{name}`"));
        }
        if let Some(inner) = of.get("items") {
            return self.items(name, inner);
        }
        let logical = of.get("logicalType").map(logical_type).transpose()?;
        if let Some(logical) = logical {
            self.hold(name, "type of items", Rule::ItemType(logical));
        }
        let Some(options) = of.get("logicalTypeOptions") else { return Ok(()) };
        if !matches!(logical, Some(LogicalType::Number | LogicalType::Integer)) {
            self.skip(options.line, &format!("`logicalTypeOptions` of the items of `{name}`"));
            return Ok(());
        }
        let options = Members::of(options, "logicalTypeOptions")?;
        options.only_these(&[BOUNDS, UNBOUNDED].concat())?;
        if let Some(bounds) = options.number_bounds()? {
            self.hold(name, "bounds of items", Rule::Row(RowRule::Items(bounds)));
        }
        for key in UNBOUNDED {
            if let Some(node) = options.get(key) {
                self.skip(node.line, &format!("`{key}` of the items of `{name}`"));
            }
        }
        Ok(())
    }

    fn quality(&mut self, of: &Members<'_>, column: Option<&str>) -> Read<()> {
        for node in of.list("quality")? {
            let rule = Members::of(node, "a quality rule")?;
            rule.only(&[OPERATORS, RULE_KEYS].concat())?;
            let text = |key| rule.get(key).map(|node| node.text(key)).transpose();
            let (kind, engine) = (text("type")?.unwrap_or("library"), text("engine")?);
            let own = || match rule.needed("implementation")? {
                Node { kind: Kind::Text(text), line } => {
                    serde_json::from_str(text).map_err(|e| (*line, format!("the implementation is not JSON: {e}")))
                }
                other => Ok(json(other)),
            };
            let value = match (kind, engine) {
                ("custom", Some("pixelfeat")) => own()?,
                ("library", _) => library(&rule, column)?,
                (kind @ ("sql" | "text" | "custom"), engine) => {
                    let engine = engine.map_or(String::new(), |engine| format!(" and the engine `{engine}`"));
                    let place = column.map_or("the table".to_owned(), |column| format!("`{column}`"));
                    self.skip(node.line, &format!("a quality rule of {place} of the type `{kind}`{engine}"));
                    continue;
                }
                (other, _) => return Err((node.line, format!("the type `{other}` of a quality rule is not known"))),
            };
            let mut check = check(&value).map_err(|why| (node.line, why))?;
            if let Some(name) = text("name")? {
                check.name = name.to_owned();
            }
            check.dimension = text("dimension")?.and_then(Dimension::of_standard);
            check.severity = match text("severity")? {
                Some("info" | "warning" | "low" | "minor") => Severity::Warning,
                Some(_) => Severity::Error,
                None => check.severity,
            };
            self.checks.push(check);
        }
        Ok(())
    }

    /// A property of `slaProperties`.
    fn agreement(&mut self, of: &Members<'_>, table: &str) -> Read<()> {
        let node = of.needed("property")?;
        let property = node.text("property")?;
        let statistic = match property {
            "freshness" | "latency" => Statistic::Newest,
            "retention" => Statistic::Oldest,
            _ => {
                self.skip(node.line, &format!("the service level `{property}`"));
                return Ok(());
            }
        };
        let element = of.get("element").map(|node| node.text("element")).transpose()?;
        let Some((of_table, column)) = element.and_then(|element| element.rsplit_once('.')) else {
            self.skip(
                node.line,
                &format!("the service level `{property}`: `element` does not name a column as table.column"),
            );
            return Ok(());
        };
        if of_table != table {
            return Ok(());
        }
        let value = of.needed("value")?;
        let number = match &value.kind {
            Kind::Number(number) => Some(*number),
            Kind::Text(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| (value.line, "`value` is not a number".to_owned()))?;
        let unit = of.get("unit").map(|node| node.text("unit")).transpose()?.unwrap_or("d");
        let seconds = match unit {
            "s" | "second" | "seconds" => 1.0,
            "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 7.0 * 86_400.0,
            // A twelfth of a Gregorian year, and the year.
            "month" | "months" => 30.436_875 * 86_400.0,
            "y" | "yr" | "year" | "years" => 365.2425 * 86_400.0,
            other => return Err((value.line, format!("the unit `{other}` is not known"))),
        };
        let condition = Condition::Within(Bounds { max: Some(number * seconds), ..Bounds::default() });
        self.checks.push(Check {
            name: format!("{column}: {property} in seconds"),
            target: Some(column.to_owned()),
            severity: Severity::Error,
            dimension: None,
            rule: Rule::Number(statistic),
            require: Require::Number(vec![condition]),
        });
        Ok(())
    }

    fn hold(&mut self, column: &str, what: &str, rule: Rule) {
        self.checks.push(expected(format!("{column}: {what}"), Some(column), rule));
    }

    /// The same in the words of checks. `line` is where the contract asks for it.
    fn ask(&mut self, line: usize, column: &str, what: &str, mut rule: Value) -> Read<()> {
        rule["column"] = column.into();
        rule["name"] = format!("{column}: {what}").into();
        self.checks.push(check(&rule).map_err(|why| (line, why))?);
        Ok(())
    }

    fn skip(&mut self, line: usize, what: &str) {
        self.not_enforced.push(format!("line {line}: {what}"));
    }
}

/// A check that holds for every row.
fn expected(name: String, target: Option<&str>, rule: Rule) -> Check {
    let require = match rule {
        Rule::Row(_) | Rule::Duplicates(_) => Require::Unexpected(vec![Condition::Be(0.0)], false),
        _ => Require::Holds,
    };
    Check { name, target: target.map(str::to_owned), severity: Severity::Error, dimension: None, rule, require }
}

/// What a quality rule compares with.
const OPERATORS: &[&str] = &[
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
    "unit",
];
/// The other keys of quality rules.
const RULE_KEYS: &[&str] = &[
    "type",
    "metric",
    "rule",
    "arguments",
    "validValues",
    "missingValues",
    "pattern",
    "query",
    "engine",
    "implementation",
    "severity",
    "dimension",
    "businessImpact",
    "method",
    "schedule",
    "scheduler",
];

/// A rule of the library, as [`check`] reads it.
fn library(of: &Members<'_>, column: Option<&str>) -> Read<Value> {
    let node = of.get("metric").or_else(|| of.get("rule")).ok_or((of.line, "`metric` is missing".to_owned()))?;
    let metric = match node.text("metric")? {
        // As version 3.0 called them.
        "duplicateCount" => "duplicateValues",
        "nullCount" | "nullCheck" => "nullValues",
        "validValues" => "invalidValues",
        other => other,
    };
    let mut value = Map::new();
    value.insert("metric".to_owned(), metric.into());
    let operators = OPERATORS.iter().filter_map(|key| Some((*key, of.get(key)?)));
    value.extend(operators.map(|(key, node)| (key.to_owned(), json(node))));
    let mut arguments = of.get("arguments").map(|node| Members::of(node, "`arguments`")).transpose()?;
    // Version 3.0 had them beside the metric.
    let beside = ["validValues", "missingValues", "pattern"].iter().filter_map(|key| Some((*key, of.get(key)?)));
    value.extend(beside.map(|(key, node)| (key.to_owned(), json(node))));
    let mut has_columns = false;
    for (key, node) in arguments.take().map_or(&[][..], |arguments| arguments.all) {
        has_columns |= key == "properties";
        value.insert(if key == "properties" { "columns".to_owned() } else { key.clone() }, json(node));
    }
    if let Some(column) = column.filter(|_| !has_columns && metric != "rowCount") {
        value.insert("column".to_owned(), column.into());
    }
    Ok(Value::Object(value))
}

fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Flag(flag) => Value::Bool(*flag),
        Kind::Number(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Kind::Text(text) => text.as_str().into(),
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Map(members) => members.iter().map(|(key, node)| (key.clone(), json(node))).collect::<Map<_, _>>().into(),
    }
}

fn logical_type(node: &Node) -> Read<LogicalType> {
    node.text("logicalType")?.parse().map_err(|error: crate::base::error::Error| (node.line, error.to_string()))
}

/// `[28, 28]`, `[32, 32, 3]` or `28x28`.
fn shape(node: &Node) -> Read<ImageShape> {
    let text = match &node.kind {
        Kind::Text(text) => text.clone(),
        Kind::List(sides) => {
            let side = |node: &Node| match node.kind {
                Kind::Number(number) => number.to_string(),
                _ => String::new(),
            };
            sides.iter().map(side).collect::<Vec<_>>().join("x")
        }
        _ => String::new(),
    };
    let why = || (node.line, "`shape` is not height, width and channels, as [28, 28] or [32, 32, 3]".to_owned());
    text.parse().map_err(|_| why())
}

impl Node {
    fn text(&self, key: &str) -> Read<&str> {
        match &self.kind {
            Kind::Text(text) => Ok(text),
            _ => Err((self.line, format!("`{key}` is not text"))),
        }
    }
}

/// The members of a map.
struct Members<'a> {
    line: usize,
    all: &'a [(String, Node)],
}

impl<'a> Members<'a> {
    fn of(node: &'a Node, what: &str) -> Read<Self> {
        match &node.kind {
            Kind::Map(all) => Ok(Self { line: node.line, all }),
            _ => Err((node.line, format!("{what} is not a map of keys and values"))),
        }
    }

    /// The value of a key; `None` also for a null.
    fn get(&self, key: &str) -> Option<&'a Node> {
        self.all.iter().find(|(known, _)| known == key).map(|(_, node)| node).filter(|node| node.kind != Kind::Null)
    }

    fn needed(&self, key: &str) -> Read<&'a Node> {
        self.get(key).ok_or_else(|| (self.line, format!("`{key}` is missing")))
    }

    fn flag(&self, key: &str) -> Read<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(Node { kind: Kind::Flag(flag), .. }) => Ok(*flag),
            Some(node) => Err((node.line, format!("`{key}` is not true or false"))),
        }
    }

    fn number(&self, key: &str) -> Read<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(Node { kind: Kind::Number(number), .. }) => Ok(Some(*number)),
            Some(node) => Err((node.line, format!("`{key}` is not a number"))),
        }
    }

    fn list(&self, key: &str) -> Read<&'a [Node]> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Node { kind: Kind::List(items), .. }) => Ok(items),
            Some(node) => Err((node.line, format!("`{key}` is not a list"))),
        }
    }

    fn bounds(&self, min: &str, max: &str) -> Read<Option<Bounds>> {
        let bounds = Bounds { min: self.number(min)?, max: self.number(max)?, ..Bounds::default() };
        Ok((bounds.min.is_some() || bounds.max.is_some()).then_some(bounds))
    }

    /// `minimum` and `maximum`, and the bounds that do not belong to the range.
    fn number_bounds(&self) -> Read<Option<Bounds>> {
        let strict = self.bounds("exclusiveMinimum", "exclusiveMaximum")?.unwrap_or_default();
        let bounds = self.bounds("minimum", "maximum")?.unwrap_or_default();
        let strict_min = strict.min.is_some_and(|min| bounds.min.is_none_or(|other| min >= other));
        let strict_max = strict.max.is_some_and(|max| bounds.max.is_none_or(|other| max <= other));
        let bounds = Bounds {
            min: if strict_min { strict.min } else { bounds.min },
            max: if strict_max { strict.max } else { bounds.max },
            strict_min,
            strict_max,
        };
        Ok((bounds.min.is_some() || bounds.max.is_some()).then_some(bounds))
    }

    /// Refuses keys that are neither these nor descriptions.
    fn only(&self, known: &[&str]) -> Read<()> {
        self.only_these(&[known, DESCRIPTIONS].concat())
    }

    fn only_these(&self, known: &[&str]) -> Read<()> {
        match self.all.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, node)) => Err((node.line, format!("`{key}` is not known here"))),
        }
    }
}
