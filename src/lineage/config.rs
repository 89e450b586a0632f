//! Where events go, as the clients of OpenLineage are told: `openlineage.yml` and the environment.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::http::Http;
use super::transport::Transport;
use crate::base::yaml::{self, Kind, Node};

/// The places that `composite` leads to, one within another, at most.
const MAX_NESTED: usize = 4;

/// Where events go, and in which namespace jobs are.
///
/// [`Settings::of_environment`] finds that out as the clients of OpenLineage do. In this order:
/// 1. `OPENLINEAGE_DISABLED=true`: nowhere.
/// 2. The target that the caller names.
/// 3. `transport` of `openlineage.yml`: of the file that `OPENLINEAGE_CONFIG` names, or in the current folder, or in
///    `~/.openlineage`. What it leaves open is taken from `OPENLINEAGE__TRANSPORT__TYPE`, `OPENLINEAGE__TRANSPORT__URL` and so
///    on.
/// 4. `OPENLINEAGE_URL`, with `OPENLINEAGE_ENDPOINT` and `OPENLINEAGE_API_KEY`.
///
/// The types of transports are `http` (also `async_http`), `file`, `console`, `noop` and `composite`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Where events go; nowhere if it is empty.
    pub transports: Vec<Transport>,
    /// The namespace of jobs: `OPENLINEAGE_NAMESPACE`, or `default`.
    pub namespace: String,
    /// What is wrong with the configuration. What it concerns is left out.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The settings of this process. `target` is a file, `-` or `console` for the console, or the address of a server. The console
    /// is stderr if `stderr` is set, else stdout.
    pub fn of_environment(target: Option<&str>, stderr: bool) -> Self {
        let variables =
            env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        let variables = variables.filter(|(key, _)| key.starts_with("OPENLINEAGE_")).collect();
        let home = env::home_dir();
        Environment { variables, home, folder: PathBuf::new(), stderr }.settings(target)
    }
}

struct Environment {
    variables: BTreeMap<String, String>,
    home: Option<PathBuf>,
    /// The current folder.
    folder: PathBuf,
    stderr: bool,
}

impl Environment {
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn settings(&self, target: Option<&str>) -> Settings {
        let namespace = self.variable("OPENLINEAGE_NAMESPACE").unwrap_or("default").to_owned();
        let mut settings = Settings { namespace, ..Settings::default() };
        if self.variable("OPENLINEAGE_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            if target.is_some() {
                settings.warnings.push("no lineage events are sent, because OPENLINEAGE_DISABLED is true".to_owned());
            }
            return settings;
        }
        if let Some(target) = target {
            self.add_target(target, &mut settings);
            return settings;
        }
        let mut config = self.nested_variables();
        if let Some(file) = self.file() {
            match read(&file) {
                Ok(of_file) => config = merged(config, of_file),
                Err(why) => settings.warnings.push(format!("{}: {why}", file.display())),
            }
        }
        let transport = &config["transport"];
        if transport["type"].is_string() {
            self.add(transport, &mut settings, 0);
        } else if transport.is_object() {
            settings.warnings.push("the lineage transport in the configuration has no `type`".to_owned());
        } else if let Some(url) = self.variable("OPENLINEAGE_URL") {
            self.add_server(url, &mut settings);
        }
        settings
    }

    fn add_target(&self, target: &str, settings: &mut Settings) {
        match target {
            "-" | "console" => settings.transports.push(Transport::Console { stderr: self.stderr }),
            url if url.contains("://") => self.add_server(url, settings),
            path => settings.transports.push(Transport::File { path: path.into(), append: true }),
        }
    }

    /// A server with the endpoint and the key that have variables of their own.
    fn add_server(&self, url: &str, settings: &mut Settings) {
        let mut http = Http::new(url);
        if let Some(endpoint) = self.variable("OPENLINEAGE_ENDPOINT") {
            endpoint.clone_into(&mut http.endpoint);
        }
        http.api_key = self.variable("OPENLINEAGE_API_KEY").map(str::to_owned);
        add_http(http, settings);
    }

    /// What `OPENLINEAGE__A__B=value` says, as `{"a": {"b": value}}`. A value is JSON, or else text.
    fn nested_variables(&self) -> Value {
        let mut all = Value::Object(Map::new());
        for (name, value) in &self.variables {
            let Some(path) = name.strip_prefix("OPENLINEAGE__") else { continue };
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.clone()));
            let nested = path.split("__").collect::<Vec<_>>().into_iter().rev();
            let nested = nested.fold(value, |value, key| Value::Object(Map::from_iter([(key.to_lowercase(), value)])));
            all = merged(all, nested);
        }
        all
    }

    fn file(&self) -> Option<PathBuf> {
        let named = self.variable("OPENLINEAGE_CONFIG").map(PathBuf::from);
        let home = self.home.as_ref().map(|home| home.join(".openlineage/openlineage.yml"));
        [named, Some(self.folder.join("openlineage.yml")), home].into_iter().flatten().find(|path| path.is_file())
    }

    /// Adds what a `transport` of the configuration describes.
    fn add(&self, config: &Value, settings: &mut Settings, depth: usize) {
        let kind = config["type"].as_str().unwrap_or_default();
        match kind {
            "noop" => {}
            "console" => settings.transports.push(Transport::Console { stderr: self.stderr }),
            "file" => match text(&config["log_file_path"]) {
                Some(path) => {
                    let append = config["append"].as_bool().unwrap_or(false);
                    settings.transports.push(Transport::File { path: path.into(), append });
                }
                None => settings.warnings.push("the lineage transport `file` has no `log_file_path`".to_owned()),
            },
            "http" | "async_http" => match http(config) {
                Ok(http) => add_http(http, settings),
                Err(why) => settings.warnings.push(format!("the lineage transport `{kind}` {why}")),
            },
            "composite" if depth < MAX_NESTED => match &config["transports"] {
                Value::Array(all) => all.iter().for_each(|one| self.add(one, settings, depth + 1)),
                Value::Object(all) => all.values().for_each(|one| self.add(one, settings, depth + 1)),
                _ => settings.warnings.push("the lineage transport `composite` has no `transports`".to_owned()),
            },
            other => settings.warnings.push(format!(
                "the lineage transport `{other}` is not supported; http, file, console, noop and composite are"
            )),
        }
    }
}

fn add_http(http: Http, settings: &mut Settings) {
    match http.fault() {
        Some(fault) => settings.warnings.push(fault),
        None => settings.transports.push(Transport::Http(http)),
    }
}

fn http(config: &Value) -> Result<Http, String> {
    let mut http = Http::new(text(&config["url"]).ok_or("has no `url`")?);
    if let Some(endpoint) = text(&config["endpoint"]) {
        http.endpoint = endpoint;
    }
    if let Some(seconds) = config["timeout"].as_f64() {
        let timeout = Duration::try_from_secs_f64(seconds).ok().filter(|timeout| !timeout.is_zero());
        http.timeout = timeout.ok_or("has a `timeout` that is no time")?;
    }
    if let Some(total) = config["retry"]["total"].as_f64() {
        http.retries = total as u32;
    }
    if let Some(headers) = config["custom_headers"].as_object() {
        http.headers = headers.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect();
    }
    if config["verify"] == Value::Bool(false) {
        return Err("has `verify: false`, but certificates are always verified".to_owned());
    }
    let auth = &config["auth"];
    match auth["type"].as_str() {
        None => {}
        Some("api_key") => {
            // The spellings that the clients take.
            let key = ["apiKey", "apikey", "api_key"].iter().find_map(|name| text(&auth[*name]));
            http.api_key = Some(key.ok_or("has `auth` without an `apiKey`")?);
        }
        Some(other) => return Err(format!("has `auth` of the type `{other}`, which is not supported; api_key is")),
    }
    Ok(http)
}

/// Text, or a number as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())),
        _ => None,
    }
}

/// The members of both. `over` counts where both have one.
fn merged(under: Value, over: Value) -> Value {
    match (under, over) {
        (Value::Object(mut under), Value::Object(over)) => {
            for (key, value) in over {
                let value = match under.remove(&key) {
                    Some(below) => merged(below, value),
                    None => value,
                };
                under.insert(key, value);
            }
            Value::Object(under)
        }
        (_, over) => over,
    }
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    yaml::read(&text).map(json).map_err(|(line, why)| format!("line {line}: {why}"))
}

fn json(node: Node) -> Value {
    match node.kind {
        Kind::Null => Value::Null,
        Kind::Flag(flag) => Value::Bool(flag),
        Kind::Number(number) => serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number),
        Kind::Text(text) => Value::String(text),
        Kind::List(items) => Value::Array(items.into_iter().map(json).collect()),
        Kind::Map(members) => Value::Object(members.into_iter().map(|(key, node)| (key, json(node))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with `openlineage.yml`, and variables.
    fn settings(yaml: Option<&str>, variables: &[(&str, &str)], target: Option<&str>) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        if let Some(yaml) = yaml {
            fs::write(folder.path().join("openlineage.yml"), yaml).unwrap();
        }
        let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Environment { variables, home: None, folder: folder.path().to_owned(), stderr: false }.settings(target)
    }

    fn server(settings: &Settings) -> &Http {
        match &settings.transports[..] {
            [Transport::Http(http)] => http,
            other => panic!("{other:?}, {:?}", settings.warnings),
        }
    }

    const YAML: &str = "transport:\n  type: http\n  url: http://yaml:5000\n  timeout: 2.5\n  retry: {total: 2}\n  \
                        custom_headers: {X-A: b}\n  auth:\n    type: api_key\n    apiKey: secret\n";

    #[test]
    fn the_file_comes_before_variables_and_these_before_the_short_ones() {
        let url = [("OPENLINEAGE_URL", "http://short"), ("OPENLINEAGE_API_KEY", "k"), ("OPENLINEAGE_ENDPOINT", "in")];
        let short = settings(None, &url, None);
        let short = server(&short);
        assert_eq!(
            (short.url.as_str(), short.api_key.as_deref(), short.endpoint.as_str()),
            ("http://short", Some("k"), "in")
        );
        let nested = [
            ("OPENLINEAGE__TRANSPORT__TYPE", "http"),
            ("OPENLINEAGE__TRANSPORT__URL", "http://nested"),
            ("OPENLINEAGE__TRANSPORT__TIMEOUT", "3"),
            ("OPENLINEAGE__TRANSPORT__AUTH", r#"{"type": "api_key", "apiKey": "n"}"#),
            url[0],
        ];
        let of_nested = settings(None, &nested, None);
        let found = server(&of_nested);
        assert_eq!(
            (found.url.as_str(), found.timeout.as_secs(), found.api_key.as_deref()),
            ("http://nested", 3, Some("n"))
        );
        let yaml = settings(Some(YAML), &nested, None);
        let found = server(&yaml);
        assert_eq!((found.url.as_str(), found.timeout.as_millis(), found.retries), ("http://yaml:5000", 2500, 2));
        assert_eq!((found.api_key.as_deref(), &found.headers[0].1[..]), (Some("secret"), "b"));
        let named = settings(Some(YAML), &url, Some("http://named"));
        assert_eq!((server(&named).url.as_str(), server(&named).api_key.as_deref()), ("http://named", Some("k")));
    }

    #[test]
    fn targets_and_other_transports() {
        let one = |settings: Settings| {
            assert_eq!(settings.transports.len(), 1, "{:?}", settings.warnings);
            settings.transports[0].clone()
        };
        let console = [one(settings(None, &[], Some("-"))), one(settings(None, &[], Some("console")))];
        assert!(console.iter().all(|of| matches!(of, Transport::Console { stderr: false })));
        assert!(matches!(one(settings(None, &[], Some("a.jsonl"))), Transport::File { append: true, .. }));
        let file = "transport: {type: file, log_file_path: a.jsonl}";
        assert!(matches!(one(settings(Some(file), &[], None)), Transport::File { append: false, .. }));
        let both = "transport:\n  type: composite\n  transports:\n    - {type: console}\n    - {type: file, log_file_path: a}\n";
        assert_eq!(settings(Some(both), &[], None).transports.len(), 2);
        let none = settings(None, &[], None);
        assert!(none.transports.is_empty() && none.warnings.is_empty() && none.namespace == "default");
        let off = [("OPENLINEAGE_DISABLED", "True"), ("OPENLINEAGE_URL", "http://a")];
        assert!(settings(Some(YAML), &off, None).transports.is_empty());
        assert!(settings(None, &off, Some("a.jsonl")).warnings[0].contains("OPENLINEAGE_DISABLED"));
        let named = settings(None, &[("OPENLINEAGE_NAMESPACE", "team")], None);
        assert_eq!(named.namespace, "team");
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        for (yaml, told) in [
            ("transport: [", "line "),
            ("transport: {type: kafka}", "`kafka` is not supported"),
            ("transport: {url: 'http://a'}", "has no `type`"),
            ("transport: {type: http}", "has no `url`"),
            ("transport: {type: file}", "has no `log_file_path`"),
            ("transport: {type: http, url: 'ftp://a'}", "must begin with http://"),
            ("transport: {type: http, url: 'http://a', timeout: -1}", "`timeout` that is no time"),
            ("transport: {type: http, url: 'http://a', auth: {type: jwt}}", "`auth` of the type `jwt`"),
            ("transport: {type: http, url: 'http://a', verify: false}", "verify: false"),
        ] {
            let settings = settings(Some(yaml), &[], None);
            assert!(settings.transports.is_empty(), "{yaml}");
            assert!(
                settings.warnings.len() == 1 && settings.warnings[0].contains(told),
                "{yaml}: {:?}",
                settings.warnings
            );
        }
    }
}
